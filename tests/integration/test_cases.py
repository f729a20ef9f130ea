"""Real TensorFlow in real containers: what a case comes to."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

import pytest

from harness.model import Disturbed, Record, Status
from harness.results.reading import Run, find_run, read_run
from tests.conftest import ROOT, lacking, real_data, run_harness

pytestmark = pytest.mark.engine

SMOKE = """
axes: {{model: [model-a], dataset: [mnist-10k]{axes}}}
defaults: {{protocol: smoke}}
dataset_fallback: synthetic
{more}
"""


def measure(
    matrix_file: Path, *options: str, axes: str = "", more: str = "", expect: int = 0
) -> Run:
    """Run a smoke matrix on the CPU; `expect` is the exit code."""
    matrix_file.write_text(SMOKE.format(axes=axes, more=more))
    results = matrix_file.parent / "results"
    ended = run_harness(
        "matrix", matrix_file, "--gpu", "cpu", "--offline", "--results", results, *options
    )
    assert ended.returncode == expect, ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr
    return read_run(find_run("latest", results))


@pytest.mark.usefixtures("image_ids", "no_container_left")
def test_the_smoke_case_on_older_and_newer_tensorflow_and_keras(matrix_file: Path) -> None:
    run = measure(matrix_file, "--runtime", "docker", axes=", image: [cpu-tf2.15, cpu-tf2.21]")
    assert [record.status for record in run.records] == [Status.OK] * 2, run.records
    versions = [(r.versions["framework"], r.versions["keras"]) for r in run.records]
    assert versions[0] == ("2.15.1", "2.15.0")
    assert versions[1][0] == "2.21.0"
    assert len({record.case_key for record in run.records}) == 1
    assert len({record.software_key for record in run.records}) == 2
    for record in run.records:
        check_figures(record)


def check_figures(record: Record) -> None:
    """A case that was measured whole on the processor tells all of its figures, in agreement."""
    timing = record.timing
    assert timing.total_execution_s is not None
    parts = (timing.train_s, timing.validation_s, timing.checkpoint_s)
    assert timing.total_execution_s == pytest.approx(sum(part or 0 for part in parts))
    assert timing.first_step_s is not None
    assert timing.total_inference_s == pytest.approx(
        (timing.model_load_s or 0) + (timing.predict_s or 0)
    )
    assert (timing.train_s or 0) > 0
    # On a fast machine no block is long enough to stand for something.
    assert (timing.blocks["train"] > 0) == (timing.images_per_s is not None)
    assert timing.predicted == ()
    assert record.device.kind == "cpu"
    assert record.memory.peak_host_bytes
    assert (record.memory.peak_cgroup_bytes or 0) > record.memory.peak_host_bytes // 2
    assert record.image.digest
    assert record.dataset.synthetic == (real_data() is None)
    assert record.exit.code == 0


@pytest.mark.usefixtures("image_ids", "no_container_left")
def test_quick_predicts_what_would_take_long_and_runs_what_would_not(matrix_file: Path) -> None:
    long_one = SMOKE.replace("protocol: smoke", "protocol: reference, measure: quick")
    matrix_file.write_text(long_one.format(axes="", more=""))
    results = matrix_file.parent / "results"
    line = ["matrix", matrix_file, "--gpu", "cpu", "--offline", "--budget", "12s"]
    ended = run_harness(*line, "--results", results)
    assert ended.returncode == 0, ended.stderr
    (record,) = read_run(find_run("latest", results)).records
    timing = record.timing
    assert set(timing.predicted) >= {"train_s", "validation_s", "checkpoint_s", "total_execution_s"}
    low, high = timing.intervals["total_execution_s"]  # however busy the machine
    assert low < (timing.total_execution_s or 0) < high
    assert (timing.total_execution_s or 0) > 300
    assert "first_step_s" not in timing.predicted
    assert timing.input_ratio is not None
    assert 0.2 < timing.input_ratio < 5
    telemetry = record.telemetry
    assert telemetry is not None
    assert telemetry.samples > 4 * telemetry.seconds
    assert telemetry.cpu is not None
    assert telemetry.other_cpu is not None
    assert 0 <= telemetry.other_cpu < telemetry.cpu <= 1
    assert telemetry.energy_j is None
    assert record.limited_by is None  # no card
    if record.disturbed is Disturbed.NO:
        assert record.disturbed_by == ()
    else:
        assert record.disturbed is Disturbed.YES
        assert record.disturbed_by
    assert timing.steady is not True  # no sensors here, and a few seconds may well be unsteady
    shown = next(row for row in ended.stdout.splitlines() if row.startswith("mnist-10k"))
    assert "≈" in shown
    assert "total execution ≈" in ended.stderr
    short = measure(matrix_file, "--runtime", "docker", axes=", measure: [quick]").records[0]
    assert short.timing.predicted == ()
    assert short.timing.total_execution_s is not None


@pytest.mark.usefixtures("image_ids", "no_container_left")
def test_a_genuine_oom_of_the_bfc_allocator_in_model_a(matrix_file: Path) -> None:
    capped = (
        "env: {TF_CPU_ALLOCATOR_USE_BFC: true, TF_CPU_BFC_MEM_LIMIT_IN_MB: 150,"
        " TF_ENABLE_ONEDNN_OPTS: 0}"
    )
    run = measure(matrix_file, "--runtime", "docker", more=capped, expect=1)
    (record,) = run.records
    assert record.status is Status.OOM, record
    assert "ran out of memory trying to allocate" in record.reason
    assert record.memory.largest_request_bytes
    assert record.memory.largest_request_bytes > 1 << 20
    assert record.exit.code not in (0, None)
    assert not record.exit.oom_killed
    assert record.timing.total_execution_s is None


@pytest.mark.usefixtures("image_ids", "no_container_left")
def test_the_containers_memory_limit_is_oom_host(matrix_file: Path) -> None:
    run = measure(matrix_file, "--runtime", "docker", more="memory_limit: 500m", expect=1)
    (record,) = run.records
    assert record.status is Status.OOM_HOST, record
    assert record.exit.oom_killed
    assert "limit of 500.00 MiB" in record.reason
    assert record.case.overrides == {"memory_limit": 500 << 20}


@pytest.mark.usefixtures("image_ids", "no_container_left")
def test_a_time_limit_ends_the_container(matrix_file: Path) -> None:
    run = measure(matrix_file, "--runtime", "docker", more="timeout: 4s", expect=1)
    (record,) = run.records
    assert record.status is Status.TIMEOUT
    assert record.exit.killed_because == "over its time limit of 4 s"


@pytest.mark.usefixtures("image_ids", "local_tensorflow", "no_container_left")
def test_local_and_docker_give_records_of_the_same_shape(matrix_file: Path) -> None:
    inside = measure(matrix_file, "--runtime", "docker").records[0]
    outside = measure(matrix_file, "--runtime", "local").records[0]
    assert outside.status is Status.OK, outside
    assert _shape(inside.model_dump()) == _shape(outside.model_dump())
    assert inside.case_key == outside.case_key
    assert inside.image.reference is not None
    assert (outside.image.reference, outside.image.digest) == (None, None)
    assert outside.versions["framework"]
    assert outside.runtime == "local"


def _shape(value: object) -> object:
    """Names and kinds; a digest may be missing outside a container."""
    if isinstance(value, dict):
        apart = ("image", "peak_cgroup_bytes", "peak_processes_bytes")
        return {name: _shape(inner) for name, inner in value.items() if name not in apart}
    return isinstance(value, (int, float)) or type(value).__name__


@pytest.mark.usefixtures("image_ids", "no_container_left")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_cleanly(matrix_file: Path, number: signal.Signals) -> None:
    matrix_file.write_text(SMOKE.format(axes="", more="repeats: 3"))
    results = matrix_file.parent / "results"
    line = [
        sys.executable,
        "-m",
        "harness",
        "matrix",
        str(matrix_file),
        "--gpu",
        "cpu",
        "--offline",
    ]
    line += ["--runtime", "docker", "--results", str(results)]
    with subprocess.Popen(
        line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for text in process.stderr:
            if text.strip() == "train":
                break
        process.send_signal(number)
        started = time.monotonic()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert time.monotonic() - started < 12
    assert "Traceback" not in err
    assert "interrupted" in out
    (record,) = read_run(find_run("latest", results)).records
    assert record.status is Status.INTERRUPTED


@pytest.mark.usefixtures("image_ids", "as_root", "no_container_left")
def test_an_unprivileged_user_leaves_no_file_of_roots(engine: object) -> None:
    """As a user who may only use the engine; reading is allowed where the checkout is private."""
    uid = 23456
    if shutil.which("setpriv") is None:
        lacking("setpriv of util-linux is needed to become another user")
    home = Path(mkdtemp(prefix="harness-user-"))
    try:
        os.chown(home, uid, uid)
        matrix = home / "matrix.yaml"
        matrix.write_text(SMOKE.format(axes="", more=""))
        group = Path("/var/run/docker.sock").stat().st_gid
        become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={group}"]
        become += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        line = [
            *become,
            sys.executable,
            "-m",
            "harness",
            "matrix",
            str(matrix),
            "--gpu",
            "cpu",
            "--offline",
        ]
        data = {"HARNESS_DATA_DIR": str(real_data())} if real_data() else {}
        ended = subprocess.run(
            [*line, "--runtime", "docker", "--results", str(home / "results")],
            cwd=home,
            env={**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), **data},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        owners = {path.lstat().st_uid for path in (home / "results").rglob("*")}
        assert owners == {uid}
    finally:
        shutil.rmtree(home)
