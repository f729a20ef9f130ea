"""The runtime local: which Python runs the cases, and what reaches it. No framework is needed."""

from __future__ import annotations

import json
import os
import sys
import time
import venv
from pathlib import Path

import pytest

from harness.analysis.identity import software_key
from harness.campaign.resume import interpreters
from harness.cli.run import machine_request
from harness.errors import HarnessError, InputError, NoFrameworkError
from harness.model import Device, LaunchSpec
from harness.plan.runtime import Need, choose_runtime
from harness.results.run import Invocation
from harness.runtimes.command import visible
from harness.runtimes.interpreter import FRAMEWORKS, Interpreter, ask
from harness.runtimes.local import LocalRuntime
from harness.runtimes.processes import ProcessAttempt
from harness.workload import contract
from tests.unit.comparing import run_of

CPU = Device(kind="cpu")
GPU = Device(kind="gpu", name="RTX 2060", uuid="GPU-aaa")
CALLERS_OWN = {
    "PYTHONPATH": "/callers",
    "PYTHONHOME_": "/callers",
    "PYTHONSTARTUP": "/callers",
    "PYTHONHASHSEED": "7",
    "PYTHONOPTIMIZE": "2",
    "LD_PRELOAD": "/nowhere/callers.so",
    "KERAS_HOME": "/callers",
    "KERAS_BACKEND": "torch",
    "JAX_PLATFORMS": "tpu",
    "XLA_FLAGS": "--xla_callers",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_XLA_FLAGS": "--callers",
    "NVIDIA_TF32_OVERRIDE": "1",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "CUDA_VISIBLE_DEVICES": "5",
    "CUDA_DEVICE_ORDER": "FASTEST_FIRST",
    "HIP_VISIBLE_DEVICES": "5",
    "TORCH_HOME": "/callers",
    "PYTORCH_CUDA_ALLOC_CONF": "callers",
    "OMP_NUM_THREADS": "1",
    "VIRTUAL_ENV": "/callers",
    "CONDA_PREFIX": "/callers",
    "HOME": "/callers",
    "XDG_CACHE_HOME": "/callers",
}


@pytest.fixture
def spec(tmp_path: Path) -> LaunchSpec:
    for name in ("workload", "out"):
        (tmp_path / name).mkdir()
    return LaunchSpec(
        workload=tmp_path / "workload",
        out=tmp_path / "out",
        data=None,
        weights=None,
        device=CPU,
        image=None,
        env={},
        memory_limit=None,
        labels={},
    )


def started(
    spec: LaunchSpec, program: str, runtime: LocalRuntime | None = None
) -> tuple[ProcessAttempt, Path]:
    (spec.workload / "__main__.py").write_text(program)
    attempt = (runtime or LocalRuntime()).start(spec)
    return attempt, attempt.scratch


def output(attempt: ProcessAttempt) -> str:
    return b"".join(data for _, data in attempt.chunks()).decode()


def environment(spec: LaunchSpec, runtime: LocalRuntime | None = None) -> dict[str, str]:
    attempt, _ = started(spec, "import json, os; print(json.dumps(dict(os.environ)))", runtime)
    try:
        found: dict[str, str] = json.loads(output(attempt))
        return found
    finally:
        attempt.remove()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The Python of a virtual environment that holds nothing."""
    venv.create(tmp_path / "bare", with_pip=False)
    return tmp_path / "bare" / "bin" / "python"


def installed(python: Path, *modules: str, **distributions: str) -> None:
    """Pretend packages; importing one of them would fail."""
    (site,) = (python.parent.parent / "lib").glob("python3*/site-packages")
    for module in modules:
        (site / f"{module}.py").write_text("raise SystemExit('imported')")
    for name, version in distributions.items():
        folder = site / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")


# ------------------------------------------------------------------ what reaches a case


@pytest.mark.parametrize("device", [CPU, GPU], ids=["cpu", "gpu"])
def test_nothing_of_the_callers_reaches_the_case(
    spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    for name, value in CALLERS_OWN.items():
        monkeypatch.setenv(name, value)
    found = environment(LaunchSpec(**{**vars(spec), "device": device}))
    kept = {name for name, value in CALLERS_OWN.items() if found.get(name) == value}
    assert kept == set()
    assert found["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert found["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert found["CUDA_VISIBLE_DEVICES"] == ("-1" if device is CPU else "GPU-aaa")
    assert not [name for name in found if name.startswith(("KERAS", "JAX", "XLA_", "LD_PRELOAD"))]


@pytest.mark.parametrize(
    ("device", "named"),
    [
        (GPU, {"CUDA_VISIBLE_DEVICES": "GPU-aaa"}),
        (
            Device(kind="gpu", uuid="MIG-1234", vendor="nvidia"),
            {"CUDA_VISIBLE_DEVICES": "MIG-1234"},
        ),
        (Device(kind="gpu", uuid="GPU-0f", vendor="amd"), {"ROCR_VISIBLE_DEVICES": "GPU-0f"}),
        (Device(kind="gpu", uuid="PCI-0000:03:00.0", vendor="amd"), {}),
        (CPU, {}),
    ],
)
def test_a_case_that_sees_every_gpu_is_told_its_own(device: Device, named: dict[str, str]) -> None:
    assert visible(device) == named


def test_a_case_finds_the_packages_and_programs_of_its_own_interpreter(
    spec: LaunchSpec, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/callers")
    found = environment(spec, LocalRuntime(str(bare)))
    assert found["VIRTUAL_ENV"] == str(bare.parent.parent)
    assert found["PATH"].split(os.pathsep)[0] == str(bare.parent)
    assert found["PYTHONUSERBASE"].endswith(".local")
    assert not found["PYTHONUSERBASE"].startswith(found["HOME"])
    elsewhere = spec.out / "bin" / "python"
    elsewhere.parent.mkdir()
    elsewhere.symlink_to(sys.executable)
    assert "VIRTUAL_ENV" not in environment(spec, LocalRuntime(str(elsewhere)))


def test_the_matrixs_variables_reach_the_case_and_win(spec: LaunchSpec) -> None:
    named = LaunchSpec(**{**vars(spec), "env": {"OMP_NUM_THREADS": "3", "A": "x=1,y=$HOME"}})
    found = environment(named)
    assert (found["OMP_NUM_THREADS"], found["A"]) == ("3", "x=1,y=$HOME")


# ------------------------------------------------------------------ the attempt


def test_output_exit_code_and_nothing_left(spec: LaunchSpec) -> None:
    program = "import os, sys; os.write(1, b'out '); os.write(2, b'err'); sys.exit(7)"
    attempt, scratch = started(spec, program)
    assert output(attempt) == "out err"
    assert attempt.result().code == 7
    assert not attempt.running()
    assert scratch.is_dir()
    attempt.remove()
    assert not scratch.exists()


def test_stopping_asks_first_and_kills_the_whole_group(spec: LaunchSpec) -> None:
    program = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    attempt, _ = started(spec, program)
    try:
        chunks = attempt.chunks()  # kept, or the pipe would be closed
        child = int(next(chunks)[1])
        assert attempt.running()
        assert (attempt.cpu_s() or 0) >= 0
        attempt.stop(0.2)
        assert attempt.result().code == 137
    finally:
        attempt.remove()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and "Z" not in state(child):
        assert time.monotonic() < deadline, "the child outlived the group"
        time.sleep(0.02)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


# ------------------------------------------------------------------ which interpreter


def test_every_framework_of_the_workload_has_its_check() -> None:
    assert set(FRAMEWORKS) == set(contract.FRAMEWORKS)


@pytest.mark.parametrize(
    ("framework", "modules", "told", "step"),
    [
        ("tensorflow", (), "has no numpy and no tensorflow", "pip install 'tensorflow>=2.15'"),
        ("jax", ("numpy", "keras"), "has no jax", "pip install jax 'keras>=3'"),
        ("torch", ("numpy", "torch"), "has no keras", "pip install torch 'keras>=3'"),
    ],
)
def test_what_an_interpreter_lacks_is_told_with_the_command(
    bare: Path, framework: str, modules: tuple[str, ...], told: str, step: str
) -> None:
    installed(bare, *modules)
    with pytest.raises(NoFrameworkError, match=told) as error:
        ask(str(bare)).require(framework)
    assert error.value.next_step == f"{bare} -m {step}"


def test_an_interpreter_that_has_everything_is_described_without_importing_anything(
    bare: Path,
) -> None:
    installed(bare, "numpy", "jax", "torch", "keras", jax="0.6.0", keras="3.8.0")
    found = ask(str(bare))
    found.require("jax")
    found.require("torch")
    assert found.describe().startswith(f"{bare} (Python 3.")
    assert found.describe().endswith("jax 0.6.0, keras 3.8.0)")
    with pytest.raises(NoFrameworkError, match="no tensorflow"):
        found.require("tensorflow")


def test_keras_2_runs_on_tensorflow_alone(bare: Path) -> None:
    installed(bare, "numpy", "jax", "tensorflow", "keras", keras="2.15.0")
    found = ask(str(bare))
    found.require("tensorflow")
    with pytest.raises(NoFrameworkError, match=r"Keras 2\.15\.0, which runs on TensorFlow alone"):
        found.require("jax")


def test_what_the_caller_can_import_and_the_case_cannot_does_not_count(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jax.py").touch()
    (tmp_path / "keras").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert ask(str(bare)).modules == ()


def stand_in(folder: Path, text: str) -> Path:
    path = folder / "stand-in"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "told", "kind"),
    [
        ("echo hello", "it answers nothing that a Python would", InputError),
        ("echo broken >&2; exit 3", "is no Python that can be started: broken", InputError),
        (
            """echo '{"executable": "/x/python", "version": [3, 7, 9]}'""",
            "is Python 3.7.9, and cases need 3.8 or later",
            NoFrameworkError,
        ),
    ],
)
def test_what_is_no_python_for_cases_is_refused(
    tmp_path: Path, text: str, told: str, kind: type[HarnessError]
) -> None:
    with pytest.raises(kind, match=told):
        ask(str(stand_in(tmp_path, text)))


def test_a_program_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "no-program").touch()
    for name in (tmp_path / "nowhere", tmp_path / "no-program", tmp_path):
        with pytest.raises(InputError, match="no such program") as error:
            ask(str(name))
        assert error.value.next_step


def test_a_script_that_chooses_an_interpreter_is_seen_through(bare: Path, tmp_path: Path) -> None:
    shim = stand_in(tmp_path, f'exec {bare} "$@"')
    assert ask(str(shim)).path == str(bare)


def test_the_choice_tells_its_interpreter(bare: Path, tmp_path: Path) -> None:
    installed(bare, "numpy", "torch", "keras", torch="2.8.0", keras="3.8.0")
    need = Need("torch", "cpu-torch", CPU, asked_for_image=False, memory_limit=None)
    chosen = choose_runtime("local", [need], print, tmp_path, str(bare))
    assert isinstance(chosen.runtime, LocalRuntime)
    assert chosen.runtime.python == str(bare)
    assert chosen.interpreter == ask(str(bare)).describe()
    assert chosen.reason == f"asked for; {chosen.interpreter}"


@pytest.mark.parametrize("runtime", ["auto", "local"])
def test_python_means_no_container(runtime: str, tmp_path: Path) -> None:
    assert machine_request("cpu", runtime, "p", None, tmp_path, None, None, False).runtime == (
        "local"
    )


def test_python_with_a_container_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--runtime docker runs its image's own"):
        machine_request("cpu", "docker", "p", None, tmp_path, None, None, False)


# ------------------------------------------------------------------ what it makes of results


@pytest.mark.parametrize(
    "name", ["python", "numpy", "keras", "framework", "framework_build", "cuda", "cudnn"]
)
def test_environments_that_differ_in_a_version_differ_in_their_software_key(name: str) -> None:
    one = {"python": "3.11.2", "numpy": "1.26.4", "keras": "3.3.2", "framework": "2.17.0"}
    assert software_key(one) != software_key({**one, name: "another"})


def test_a_run_that_goes_on_with_another_python_says_so() -> None:
    def run_with(*names: str | None) -> object:
        blank = run_of("r", []).info
        (one,) = blank.invocations
        told = tuple(one.model_copy(update={"interpreter": name}) for name in names)
        assert all(isinstance(invocation, Invocation) for invocation in told)
        return blank.model_copy(update={"invocations": told})

    def said(before: tuple[str | None, ...], now: str | None) -> list[str]:
        return interpreters(run_with(*before), run_with(now))  # type: ignore[arg-type]

    assert said(("a (jax 1)",), "a (jax 1)") == []
    assert said((None,), "a") == []
    assert said(("a", "b"), None) == []
    assert said(("a", "b", None), "c") == ["another Python than before: b; now c"]


def test_an_interpreter_that_is_the_harnesss_own() -> None:
    found = Interpreter(sys.executable, (3, 11, 2))
    with pytest.raises(NoFrameworkError, match="this Python environment has no numpy") as error:
        found.require("tensorflow")
    assert error.value.next_step.endswith("or make local, which adds it to .venv")
    with pytest.raises(NoFrameworkError) as error:
        found.require("jax")
    assert error.value.next_step.endswith("make local-jax and --python .venv-jax/bin/python")
