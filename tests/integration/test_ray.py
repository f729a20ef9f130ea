"""A fleet of three nodes on this machine: real Ray, real containers, and what breaks there.

Only the two phases of the workload are stand-ins, so that a case takes seconds.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.model import Record, Status
from harness.results.reading import find_run, read_run
from harness.results.run import JOURNAL, RUN_FILE
from harness.runtimes import rehearsal
from harness.runtimes.engine import Engine
from tests.conftest import ROOT, lacking, real_data, run_harness
from tests.faults import stand_in

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("image_ids")]

SIX = """
axes: {model: [model-a], dataset: [mnist-10k], batch_size: [20, 25, 50, 100, 250, 500]}
defaults: {protocol: smoke}
dataset_fallback: synthetic
"""
ENOUGH = (("infra", 1), ("ok", 0))
"""Both losses have been noticed, and something is done."""
ATTENDANT = "ray::Attendant"


class Fleet:
    """The cluster of the tests, and what a user of it has in the environment."""

    def __init__(self, cluster: Any, nodes: list[Any], env: dict[str, str], root: Path) -> None:
        self.cluster, self.nodes, self.env, self.root = cluster, nodes, env, root

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def workers(self, node: Any) -> list[psutil.Process]:
        """The processes that measure on a node now."""
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        return [one for one in raylet.children(recursive=True) if _is_attendant(one)]


def _is_attendant(process: psutil.Process) -> bool:
    try:
        return any(word.startswith(ATTENDANT) for word in process.cmdline())
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, one_gpu: dict[str, str]) -> Iterator[Fleet]:
    """A head that lends nothing and three nodes, the first with a GPU that NVML pretends."""
    if find_spec("ray") is None:
        lacking("Ray is not installed: pip install -e '.[ray]'")
    data = real_data()
    root = _with_short_phases(tmp_path_factory.mktemp("harness"))
    env = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_memory_monitor_refresh_ms": "0",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "PYTHONPATH": str(root),
        **one_gpu,
        **({"HARNESS_DATA_DIR": str(data)} if data else {}),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        gpu = {"num_gpus": 1, "labels": {"ray.io/accelerator-type": "A100"}}
        nodes = [cluster.add_node(num_cpus=2, **(gpu if n == 0 else {})) for n in range(3)]
        try:
            yield Fleet(cluster, nodes, env, root)
        finally:
            cluster.shutdown()


def _with_short_phases(root: Path) -> Path:
    """A copy of the harness, for this process's nodes and drivers alike."""
    left_out = shutil.ignore_patterns("__pycache__", "workload")
    shutil.copytree(ROOT / "harness", root / "harness", ignore=left_out)
    stand_in.make(root / "harness" / "workload", seconds=5.0)
    (root / "docker").symlink_to(ROOT / "docker")
    return root


def started(fleet: Fleet, matrix: Path, *more: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "harness", "matrix", matrix, "--results", matrix.parent / "runs"]
    line += ["--executor", "ray", "--address", fleet.address, "--runtime", "docker", "--offline"]
    return subprocess.Popen(
        [*map(str, line), *more],
        env={**os.environ, **fleet.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=fleet.root,
    )


def until(what: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


def containers(engine: Engine, fleet: Fleet) -> list[Any]:
    """The attempts' own: not those by which a node tries whether it can start anything.

    Nor those of other harnesses: the nodes make attempts in this fleet's cache.
    """
    # Each is inspected once it is listed, and may have gone by then.
    found = engine.client.containers.list(filters={"label": "harness.run"}, ignore_removed=True)
    here = fleet.env["XDG_CACHE_HOME"]
    return [
        one
        for one in found
        if one.labels["harness.run"] != rehearsal.RUN
        and one.labels.get("harness.folder", "").startswith(here)
    ]


def test_a_fleet_says_what_it_has_and_what_is_impossible_is_refused(
    fleet: Fleet, matrix_file: Path
) -> None:
    shown = run_harness(
        "fleet", "--address", fleet.address, "--format", "json", env=fleet.env, cwd=fleet.root
    )
    assert shown.returncode == 0, shown.stderr
    nodes = json.loads(shown.stdout)["nodes"]
    lending = [node for node in nodes if node["cpus"]]
    assert len(lending) == 3
    assert all("cpu" in node["images"] and node["token"] for node in lending)
    assert [node["gpus"] for node in lending].count(1) == 1
    matrix_file.write_text(SIX)
    refused = run_harness(
        *("matrix", matrix_file, "--executor", "ray", "--address", fleet.address),
        *("--gpu-model", "H100", "--results", matrix_file.parent / "runs"),
        env=fleet.env,
        cwd=fleet.root,
    )
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "no node has a GPU H100" in refused.stderr
    assert "A100" in refused.stderr
    assert not (matrix_file.parent / "runs").exists()
    without = {**fleet.env, "RAY_AUTH_TOKEN": "0" * 64}
    stranger = run_harness("fleet", "--address", fleet.address, env=without, cwd=fleet.root)
    assert stranger.returncode == 3, stranger.stdout
    assert "token" in stranger.stderr
    assert "Traceback" not in stranger.stderr


@pytest.mark.usefixtures("no_container_left")
def test_six_cases_with_a_worker_killed_a_node_lost_and_the_driver_killed(
    fleet: Fleet, matrix_file: Path, engine: Engine
) -> None:
    """Nothing is lost, nothing is doubled, and the records are those of one machine's run."""
    matrix_file.write_text(SIX)
    runs = matrix_file.parent / "runs"
    driver = started(fleet, matrix_file, "--gpu", "cpu")
    # In one look: what is at work now may be done in the next.
    killed = until(lambda: len(containers(engine, fleet)) == 3 and fleet.workers(fleet.nodes[0]))
    assert len(killed) == 1  # one attempt on a node at a time
    killed[0].kill()
    fleet.cluster.remove_node(fleet.nodes[2], allow_graceful=False)
    journal = until(lambda: next(iter(runs.glob(f"*/{JOURNAL}")), None))
    until(
        lambda: [journal.read_text().count(f'"status":"{w}"') > n for w, n in ENOUGH] == [True] * 2
    )
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    until(lambda: not containers(engine, fleet))  # each ends itself once its worker is gone
    again = started(fleet, matrix_file, "--gpu", "cpu", "--resume", "latest")
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert "Traceback" not in said
    run = read_run(find_run("latest", runs))
    lost = [record for record in run.records if record.status is Status.INFRA]
    assert sorted(record.reason.split(": ")[1] for record in lost) == [
        "its process is gone",
        "the node is gone",
    ], lost
    assert all(record.transient for record in lost)
    done = [record for record in run.records if record.status is Status.OK]
    assert Counter(record.case_id for record in done) == {case.id: 1 for case in run.info.cases}
    assert len(run.records) == len(done) + len(lost)
    assert {record.attempt for record in done} >= {1, 2}
    assert not left_of(done, fleet)
    _are_as_on_one_machine(done, run.path, matrix_file, fleet)


def left_of(done: list[Record], fleet: Fleet) -> list[Path]:
    """Their folders on the nodes. What is lost with its worker may have its record there still."""
    there = Path(fleet.env["XDG_CACHE_HOME"]).glob("harness/elsewhere/*/*_a*/record.json")
    ids = {(record.case_id, record.repeat, record.attempt) for record in done}
    found = {path: Record.model_validate_json(path.read_bytes()) for path in there}
    return [path for path, r in found.items() if (r.case_id, r.repeat, r.attempt) in ids]


def _are_as_on_one_machine(done: list[Record], path: Path, matrix_file: Path, fleet: Fleet) -> None:
    here = run_harness(
        *("matrix", matrix_file, "--gpu", "cpu", "--runtime", "docker", "--offline"),
        *("--only", "batch_size=500", "--results", matrix_file.parent / "here"),
        env=fleet.env,
        cwd=fleet.root,
    )
    assert here.returncode == 0, here.stderr
    alone = read_run(find_run("latest", matrix_file.parent / "here"))
    one = alone.records[0]
    other = next(record for record in done if record.case_id == one.case_id)
    assert (one.case_key, one.software_key) == (other.case_key, other.software_key)
    assert (one.image, one.dataset, one.device) == (other.image, other.dataset, other.device)
    assert one.timing.model_fields_set == other.timing.model_fields_set
    assert (one.telemetry is None) == (other.telemetry is None)
    assert one.machine == other.machine  # it is this machine
    place = "cases/{0.case_id}/r{0.repeat}/a{0.attempt}"
    files = [
        {file.name for file in (run / place.format(record)).iterdir()} - {"machine.json"}
        for run, record in ((alone.path, one), (path, other))
    ]
    assert files[0] == files[1]


@pytest.mark.usefixtures("no_container_left")
def test_ctrl_c_ends_what_runs_and_records_it(
    fleet: Fleet, matrix_file: Path, engine: Engine
) -> None:
    matrix_file.write_text(SIX)
    runs = matrix_file.parent / "runs"
    driver = started(fleet, matrix_file, "--gpu", "cpu", "--only", "batch_size=100")
    until(lambda: containers(engine, fleet) and list(runs.glob(f"*/{RUN_FILE}")))
    driver.send_signal(signal.SIGINT)
    said, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130, said
    run = read_run(find_run("latest", runs))
    assert [record.status for record in run.records] == [Status.INTERRUPTED], said
    assert "stopped by the user" in run.records[0].reason


def test_the_gpu_that_ray_lends_is_known_by_its_uuid(fleet: Fleet, tmp_path: Path) -> None:
    """Ray says an index; what the container is pinned by is the card's own name."""
    script = """
import sys
from harness.executors.ray.cluster import connected
def pinned():
    import os
    from harness.host.allowed import allowed
    from harness.host.gpus import choose, find_gpus
    return os.environ["CUDA_VISIBLE_DEVICES"], choose("auto", allowed(find_gpus(), os.environ)).uuid
with connected(sys.argv[1]):
    import ray
    print(ray.get(ray.remote(pinned).options(num_gpus=1, num_cpus=0).remote()))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, fleet.address],
        env={**os.environ, **fleet.env},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=fleet.root,
        check=False,
    )
    assert "('0', 'GPU-11111111-2222-3333-4444-555555555555')" in ended.stdout, ended.stderr
