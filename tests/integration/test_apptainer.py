"""The runtime apptainer on the real program, wherever it is installed; a small program stands in
the workload's place. Without the program, or an image that it can start, every test says so.

``HARNESS_TEST_SIF`` names a SIF file that holds python3; without it one is made of the image
`cpu` in the Docker engine that answers here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.catalog import images
from harness.errors import MachineError
from harness.model import Device, LaunchSpec
from harness.runtimes.apptainer import PROGRAMS, ApptainerRuntime
from harness.runtimes.processes import ProcessAttempt
from tests.conftest import cannot_have, lacking

PROBE = Path(__file__).parent / "probe"


@pytest.fixture(scope="session")
def program() -> str:
    for name in PROGRAMS:
        if path := shutil.which(name):
            return path
    cannot_have("neither apptainer nor singularity is installed, and Debian has neither")
    raise AssertionError


@pytest.fixture(scope="session")
def image(program: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    if named := os.environ.get("HARNESS_TEST_SIF"):
        return named
    path = tmp_path_factory.mktemp("sif") / "cpu.sif"
    source = f"docker-daemon://{images()['cpu'].reference}"
    built = subprocess.run(
        [program, "build", path, source], capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        lacking(f"no SIF file of the image cpu could be made: {built.stderr.strip()[-300:]}")
    return str(path)


@pytest.fixture
def spec(image: str, tmp_path: Path) -> LaunchSpec:
    for name in ("workload", "out", "data"):
        (tmp_path / name).mkdir()
    return LaunchSpec(
        workload=tmp_path / "workload",
        out=tmp_path / "out",
        data=tmp_path / "data",
        weights=None,
        device=Device(kind="cpu"),
        image=image,
        env={"XLA_FLAGS": "--a=1,--b=$HOME"},
        memory_limit=None,
        labels={"harness.run": "test"},
    )


@pytest.fixture
def runtime(program: str, spec: LaunchSpec) -> ApptainerRuntime:
    made = ApptainerRuntime(program)
    made.rehearse(spec)
    return made


def started(runtime: ApptainerRuntime, spec: LaunchSpec, text: str) -> ProcessAttempt:
    (spec.workload / "__main__.py").write_text(text)
    return runtime.start(spec)


def output(attempt: ProcessAttempt) -> str:
    return b"".join(data for _, data in attempt.chunks()).decode()


def test_what_the_running_container_may_and_may_not_do(
    runtime: ApptainerRuntime, spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_FROM_THE_CALLER", "1")
    monkeypatch.setenv("APPTAINERENV_TF_INJECTED", "1")
    attempt = runtime.start(replace(spec, workload=PROBE))
    try:
        printed = output(attempt)
        assert attempt.result().code == 0, printed
    finally:
        attempt.remove()
    found = json.loads((spec.out / "found.json").read_text())
    assert (found["uid"], found["gid"]) == (os.getuid(), os.getgid())
    assert found["no_new_privileges"] == "1"
    assert found["capabilities"][0] == "0000000000000000"
    for place in ("root", "usr", "workload", "data"):
        assert found[f"write_{place}"] != "allowed", place
    for place in ("tmp", "home", "out"):
        assert found[f"write_{place}"] == "allowed", place
    assert not {"TF_FROM_THE_CALLER", "TF_INJECTED"} & set(found["environment"])
    assert found["environment"]["TF_CPP_MIN_LOG_LEVEL"] == "0"
    if runtime.terms.isolates_network:
        assert found["interfaces"] == ["lo"]
    assert not attempt.scratch.exists()


def test_output_variables_and_exit_code(runtime: ApptainerRuntime, spec: LaunchSpec) -> None:
    attempt = started(runtime, spec, "import os, sys; print(os.environ['XLA_FLAGS']); sys.exit(7)")
    try:
        assert "--a=1,--b=$HOME\n" in output(attempt)
        assert attempt.result().code == 7
    finally:
        attempt.remove()


def test_stopping_asks_first_and_kills_what_does_not_listen(
    runtime: ApptainerRuntime, spec: LaunchSpec
) -> None:
    attempt = started(
        runtime,
        spec,
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('/harness/out/deaf', 'w').close()\n"
        "while True:\n"
        "    open('/harness/out/alive', 'w').write(str(time.time()))\n"
        "    time.sleep(0.1)\n",
    )
    try:
        while not (spec.out / "deaf").exists():
            assert attempt.running(), output(attempt)
            time.sleep(0.1)
        attempt.stop(1.0)
        assert attempt.result().code == 137
        time.sleep(0.5)
        last = (spec.out / "alive").read_text()
        time.sleep(0.5)
        assert (spec.out / "alive").read_text() == last, "the workload outlived its container"
    finally:
        attempt.remove()


def test_a_memory_limit_holds_or_is_refused_before_the_first_case(
    runtime: ApptainerRuntime, spec: LaunchSpec
) -> None:
    limited = replace(spec, memory_limit=256 << 20)
    try:
        runtime.rehearse(limited)
    except MachineError as error:
        assert "cgroups v2" in error.next_step
        return
    attempt = started(runtime, limited, "held = b'x' * (1 << 30); print(len(held))")
    try:
        output(attempt)
        assert attempt.result().code == 137
    finally:
        attempt.remove()
