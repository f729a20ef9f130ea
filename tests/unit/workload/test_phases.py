"""The parent process: one child a phase, exit codes, signals, clean-up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.workload import contract, phases

WORKLOAD = Path(phases.__file__).parent
Stub = Callable[..., list[str]]


def script(body: str) -> list[str]:
    return [sys.executable, "-c", body]


@pytest.fixture
def stub(tmp_path: Path, document: dict[str, Any]) -> Stub:
    """Makes the real workload with stubs for its phases, under another name; how to start it."""

    def make(train: str, infer: str = "pass") -> list[str]:
        code = tmp_path / "anywhere"
        shutil.copytree(WORKLOAD, code, ignore=shutil.ignore_patterns("__pycache__"))
        for phase, body in (("train", train), ("infer", infer)):
            (code / (phase + ".py")).write_text(
                "import os, signal, sys, time\ndef run(spec, folders):\n"
                + textwrap.indent(body, "    ")
            )
        out = tmp_path / "out"
        out.mkdir()
        (tmp_path / "spec.json").write_text(json.dumps(document))
        command = [sys.executable, str(code), "--spec", str(tmp_path / "spec.json")]
        return [*command, "--data", str(tmp_path), "--out", str(out)]

    return make


LOCKED = """
import fcntl, subprocess, sys, time
fcntl.flock(spec := open(sys.argv[1]), fcntl.LOCK_EX)
subprocess.Popen(sys.argv[2:])
time.sleep(60)
"""


def test_a_workload_whose_harness_is_killed_ends_itself(stub: Stub, tmp_path: Path) -> None:
    told = tmp_path / "told"
    body = (
        f"told = {str(told)!r}\n"
        "signal.signal(signal.SIGTERM, lambda *_: (open(told, 'w').write('ended'), sys.exit(1)))\n"
        "open(told, 'w').write('works')\ntime.sleep(60)"
    )
    command = stub(body)
    harness = subprocess.Popen(
        [sys.executable, "-c", LOCKED, str(tmp_path / "spec.json"), *command]
    )
    wait_for(lambda: told.exists() and told.read_text() == "works")
    harness.kill()
    harness.wait()
    wait_for(lambda: told.read_text() == "ended")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


SAVE = "open(os.path.join(folders.out, 'model.h5'), 'w').close()\n"


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_phases_run_in_order_in_processes_of_their_own(stub: Stub, tmp_path: Path) -> None:
    tell = "print(%r, os.getpid() != %d, os.path.exists(folders.out + '/model.h5'))"
    command = stub(SAVE + tell % ("train", os.getpid()), tell % ("infer", os.getpid()))
    done = run(command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["train True True", "infer True True"]
    assert not (tmp_path / "out" / contract.MODEL_FILE).exists()


def test_the_folder_is_not_on_the_path_and_the_package_has_its_own_name(
    stub: Stub, tmp_path: Path
) -> None:
    body = (
        "print([p for p in sys.path if 'anywhere' in p], __name__, sys.flags.dont_write_bytecode)"
    )
    command = stub(body)
    assert run(command).stdout == "[] workload.train 1\n"
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("sys.exit(3)", 3),
        ("raise ValueError('no')", 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
        ("os.abort()", 134),
    ],
)
def test_a_failing_phase_is_the_last_one(stub: Stub, tmp_path: Path, body: str, code: int) -> None:
    done = run(stub(SAVE + body, "print('infer')"))
    assert done.returncode == code
    assert done.stdout == ""
    assert not (tmp_path / "out" / contract.MODEL_FILE).exists()


def test_a_fault_of_the_second_phase_counts_too(stub: Stub, tmp_path: Path) -> None:
    assert run(stub(SAVE, "sys.exit(4)")).returncode == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_child_and_then_the_parent(
    stub: Stub, tmp_path: Path, number: signal.Signals
) -> None:
    body = SAVE + "print(os.getpid(), flush=True)\ntime.sleep(60)"
    process = subprocess.Popen(
        stub(body, "print('infer')"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert (out, err) == (b"", b"")
    assert not Path(f"/proc/{child}").exists()
    assert not (tmp_path / "out" / contract.MODEL_FILE).exists()


def test_a_bad_spec_ends_before_any_child(
    stub: Stub, tmp_path: Path, document: dict[str, Any]
) -> None:
    command = stub("print('train')")
    (tmp_path / "spec.json").write_text(json.dumps({**document, "contract": 2}))
    done = run(command)
    assert done.returncode == contract.EXIT_BAD_SPEC
    assert done.stdout == ""
    assert done.stderr.startswith("workload: the spec follows contract version 2")
    assert len(done.stderr.splitlines()) == 1


def test_a_signal_without_a_child_starts_no_further_phase(tmp_path: Path) -> None:
    started = []

    def command(phase: str) -> list[str]:
        started.append(phase)
        os.kill(os.getpid(), signal.SIGTERM)
        return script("raise SystemExit(0)")

    assert phases.run_phases(("train", "infer"), command) == 128 + signal.SIGTERM
    assert started == ["train"]


def test_a_child_that_outlives_the_signal_still_ends_the_run() -> None:
    body = "import signal, time; signal.signal(15, lambda *_: exit(0)); print(1); time.sleep(30)"
    parent = (
        "import sys; from harness.workload.phases import run_phases;"
        "sys.exit(run_phases(('train', 'infer'), lambda phase: [sys.executable, '-u', '-c', %r]))"
    )
    process = subprocess.Popen(script(parent % body), stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143


def test_the_callers_signal_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert phases.run_phases(("train",), lambda phase: script("")) == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: None])
def test_remove_takes_files_folders_and_nothing(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "model.h5"
    make(path)
    phases.remove(str(path))
    assert not path.exists()


def test_the_parent_is_quick(stub: Stub, tmp_path: Path) -> None:
    start = time.monotonic()
    run(stub("pass"))
    assert time.monotonic() - start < 5
