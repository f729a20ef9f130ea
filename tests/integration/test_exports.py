"""What is exported is what those systems take, and what they run measures the matrix.

Their own parsers read the files, in an environment of their own (.venv-export, which .ci/run makes
from export-requirements.txt); the emitted set-up and run commands are executed in a plain shell
with the variables that the systems set, and in a container that is started as the pod says.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.model import Status
from harness.results.reading import Run, find_run, read_run
from tests.conftest import ROOT, lacking, run_harness

MATRIX = """\
axes: {model: [model-a, model-b], dataset: [synthetic]}
defaults: {protocol: smoke, measure: quick}
budget: 2s
"""
SHA256 = hashlib.sha256(MATRIX.encode()).hexdigest()
ONE = ("--only", "model=model-a")

PARSERS = ROOT / ".venv-export" / "bin"

READ_BY_SKYPILOT = """
import copy, json, sys
import sky, yaml
told = []
for path in sys.argv[1:]:
    with open(path) as file:
        written = yaml.safe_load(file)
    task = sky.Task.from_yaml_config(copy.deepcopy(written))  # it changes what it is given
    (resources,) = task.resources
    told.append({
        "unchanged": [task.setup == written["setup"], task.run == written["run"]],
        "envs": task.envs == written["envs"],
        "accelerators": resources.accelerators,
        "cloud": str(resources.cloud),
        "image": (resources.image_id or {}).get(None),
        "file_mounts": task.file_mounts,
    })
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The harness of this checkout, as a user's wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT]
    made = subprocess.run(line, capture_output=True, text=True, check=False)
    if made.returncode:
        lacking(f"pip cannot make a wheel here: {made.stderr.strip().splitlines()[-1]}")
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture
def exported(tmp_path: Path) -> Any:
    """Exports the matrix; returns the folder of what was written."""
    (tmp_path / "mine.yaml").write_text(MATRIX)

    def export(system: str, *options: str | Path) -> Path:
        out = tmp_path / "out" / ("" if system == "skypilot" else "jobs.yaml")
        out.parent.mkdir(exist_ok=True)
        ended = run_harness("export", system, tmp_path / "mine.yaml", *options, "-o", out)
        assert ended.returncode == 0, ended.stderr
        return out

    return export


def parser(name: str) -> Path:
    program = PARSERS / name
    if not program.is_file():
        lacking("no .venv-export is here: .ci/run makes it from export-requirements.txt")
    return program


def asked(line: list[str | Path], home: Path) -> subprocess.CompletedProcess[str]:
    """A parser's answer; it keeps its own state in `home`, and reports to nobody."""
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
    return subprocess.run(line, capture_output=True, text=True, env=env, check=False, timeout=300)


def test_skypilots_own_parser_takes_the_tasks(exported: Any, wheel: Path, tmp_path: Path) -> None:
    python = parser("python")
    folder = exported("skypilot", "--gpus", "L4,A100-80GB", "--harness", wheel)
    container = tmp_path / "container.yaml"
    made = run_harness(
        *("export", "skypilot", tmp_path / "mine.yaml", "--gpus", "RTX4090", "--cloud", "runpod"),
        *("-o", container),
    )
    assert made.returncode == 0, made.stderr
    ended = asked([python, "-c", READ_BY_SKYPILOT, *sorted(folder.iterdir()), container], tmp_path)
    assert ended.returncode == 0, ended.stderr
    a100, l4, rtx = json.loads(ended.stdout.splitlines()[-1])
    assert all([*task["unchanged"], task["envs"]] == [True] * 3 for task in (a100, l4, rtx))
    assert (a100["accelerators"], l4["accelerators"]) == ({"A100-80GB": 1}, {"L4": 1})
    assert list(l4["file_mounts"].values()) == [str(wheel)]
    assert (rtx["cloud"], rtx["accelerators"]) == ("RunPod", {"RTX4090": 1})
    assert rtx["image"].startswith("docker:nvcr.io/nvidia/tensorflow@sha256:")


def test_skypilots_parser_would_find_a_mistake(exported: Any, tmp_path: Path) -> None:
    """That it accepts something says something."""
    python = parser("python")
    (path,) = exported("skypilot", "--gpus", "L4").iterdir()
    path.write_text(path.read_text().replace("accelerators:", "acelerators:"))
    ended = asked([python, "-c", READ_BY_SKYPILOT, path], tmp_path)
    assert ended.returncode != 0
    assert "acelerators" in ended.stderr


def test_the_jobs_fit_kubernetes_schema(exported: Any, wheel: Path, tmp_path: Path) -> None:
    program = parser("kubernetes-validate")
    path = exported(
        *("kubernetes", "--namespace", "lab", "--node", "nvidia.com/gpu.product=NVIDIA-L4"),
        *("--claim", "results", "--harness", wheel),
    )
    ended = asked([program, "--strict", path], tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (ended.stdout + ended.stderr).count(" passed for resource ") == 3
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(path.read_text().replace("backoffLimit:", "backofLimit:"))
    assert asked([program, "--strict", wrong], tmp_path).returncode != 0


def plain_shell(
    script: str, home: Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """``bash -e`` with an empty home; pip's settings stay, since they say where packages are."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin:/usr/bin:/bin"])
    env = {**kept, "PATH": path, "HOME": str(home), **variables}
    line = ["bash", "-e", "-c", script]
    return subprocess.run(
        line, capture_output=True, text=True, env=env, cwd=home, check=False, timeout=300
    )


SETTING_UP = {
    "SKYPILOT_SETUP_NODE_RANK": "0",
    "SKYPILOT_SETUP_NODE_IPS": "127.0.0.1",
    "SKYPILOT_SETUP_NUM_GPUS_PER_NODE": "1",
}
RUNNING = {
    "SKYPILOT_NODE_RANK": "0",
    "SKYPILOT_NODE_IPS": "127.0.0.1",
    "SKYPILOT_NUM_NODES": "1",
    "SKYPILOT_NUM_GPUS_PER_NODE": "1",
    "SKYPILOT_TASK_ID": "sky-2026-11-28-00-00-00-000000_harness-l4_1",
    "SKYPILOT_CLUSTER_INFO": '{"cluster_name": "harness-l4", "cloud": "AWS"}',
}


def measured(folder: Path) -> Run:
    run = read_run(find_run("latest", folder))
    assert [record.status for record in run.records] == [Status.OK]
    assert run.info.matrix_sha256 == SHA256
    return run


@pytest.mark.engine
def test_a_skypilot_task_sets_up_and_measures(
    exported: Any, wheel: Path, tmp_path: Path, image_ids: dict[str, str]
) -> None:
    """As on a virtual machine with Docker, but for the GPU, which nobody has here."""
    (path,) = exported("skypilot", "--gpus", "L4", "--harness", wheel, *ONE).iterdir()
    task = yaml.safe_load(path.read_text())
    home = tmp_path / "home"
    for there, here in task["file_mounts"].items():
        copy = Path(there.replace("~", str(home)))
        copy.parent.mkdir(parents=True)
        shutil.copy(here, copy)
    envs = task["envs"]
    ready = plain_shell(task["setup"], home, {**envs, **SETTING_UP})
    assert ready.returncode == 0, ready.stderr
    assert "is ready, with " in ready.stdout
    without_gpu = plain_shell(task["run"], home, {**envs, **RUNNING})
    assert without_gpu.returncode == 3
    assert "no GPU is seen here" in without_gpu.stderr
    ended = plain_shell(task["run"], home, {**envs, **RUNNING, "HARNESS_NEEDS_GPU": "0"})
    assert ended.returncode == 0, ended.stderr
    run = measured(home / "harness-export" / "results")
    assert run.records[0].image.reference == "harness/tensorflow-cpu:2.17.0"
    assert (home / "harness-export/matrix.yaml").read_text() == MATRIX


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"HARNESS_MATRIX_SHA256": "0" * 64}, "is not the matrix that was exported"),
        ({"HARNESS_MODULES": "tensorflow no_such_module"}, "has pip tensorflow no_such_module"),
        ({"DOCKER_HOST": "unix:///none", "HARNESS_RUNTIME": "docker"}, "Docker does not answer"),
    ],
)
def test_set_up_says_what_the_machine_lacks(
    exported: Any, tmp_path: Path, wrong: dict[str, str], told: str
) -> None:
    (path,) = exported("skypilot", "--gpus", "L4").iterdir()
    task = yaml.safe_load(path.read_text())
    ended = plain_shell(task["setup"], tmp_path, {**task["envs"], **SETTING_UP, **wrong})
    assert ended.returncode == 3
    assert told in ended.stderr
    assert "  try: " in ended.stderr
    assert not (tmp_path / "harness-export" / "site").exists()


@pytest.mark.engine
def test_a_kubernetes_job_measures_its_case_in_its_pod(
    exported: Any, wheel: Path, tmp_path: Path, image_ids: dict[str, str]
) -> None:
    """Both containers as the pod says: user, read-only root, no capability, its folders."""
    image = image_ids["cpu"]
    path = exported("kubernetes", "--image", image, "--harness", wheel)
    config, *jobs = yaml.safe_load_all(path.read_text())
    files = tmp_path / "config"
    files.mkdir()
    for name, text in config["data"].items():
        (files / name).write_text(text)
    for name, encoded in config["binaryData"].items():
        (files / name).write_bytes(base64.b64decode(encoded))
    index = packages(wheel, tmp_path / "index")
    pod = jobs[0]["spec"]["template"]["spec"]
    volumes = {"config": f"{files}:{{}}:ro"}
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
        volumes[name] = f"{tmp_path / name}:{{}}"
    (ready,) = (in_pod(pod, one, volumes, index) for one in pod["initContainers"])
    assert ready.returncode == 0, ready.stderr
    (ended,) = (in_pod(pod, one, volumes, index) for one in pod["containers"])
    assert ended.returncode == 0, ended.stderr

    (told,) = (line for line in path.read_text().splitlines() if "sed -n" in line)
    fetch = told.removeprefix("#").strip() + " base64 -d | tar -xz -C results"
    brought = tmp_path / "brought"
    (brought / "results").mkdir(parents=True)
    subprocess.run(["bash", "-c", fetch], input=ended.stdout, text=True, cwd=brought, check=True)
    run = measured(brought / "results")
    assert jobs[0]["metadata"]["annotations"]["harness/case"] == run.records[0].case_id
    assert len(jobs) == 2


def packages(wheel: Path, folder: Path) -> Path:
    """The packages that the harness needs, as files: the container has no network."""
    line = [sys.executable, "-m", "pip", "download", "--quiet", "-d", folder, wheel]
    subprocess.run(line, capture_output=True, check=True)
    return folder


def in_pod(
    pod: dict[str, Any], container: dict[str, Any], volumes: dict[str, str], index: Path
) -> subprocess.CompletedProcess[str]:
    """Docker in Kubernetes' place. The GPU is left out, and pip reads files instead of an index."""
    user = pod["securityContext"]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    env = {one["name"]: one["value"] for one in container["env"]}
    env |= {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
        "HARNESS_NEEDS_GPU": "0",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/index",
    }
    memory = {one["name"] for one in pod["volumes"] if one.get("emptyDir", {}).get("medium")}
    mounts = [f"--volume={index}:/index:ro"]
    for one in container["volumeMounts"]:
        if one["name"] in memory:
            mounts.append(f"--tmpfs={one['mountPath']}:mode=1777")
        else:
            mounts.append("--volume=" + volumes[one["name"]].format(one["mountPath"]))
    line = [
        *("docker", "run", "--rm", "--network", "none", "--read-only"),
        *("--user", f"{user['runAsUser']}:{user['runAsGroup']}"),
        *(f"--cap-drop={name}" for name in security["capabilities"]["drop"]),
        *("--security-opt", "no-new-privileges"),
        *(f"--env={name}={value}" for name, value in env.items()),
        *mounts,
        *("--entrypoint", container["command"][0], container["image"], *container["command"][1:]),
    ]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
