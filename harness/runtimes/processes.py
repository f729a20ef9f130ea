"""A case as a process group of this machine: what `local` and `apptainer` share."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.errors import InfraError
from harness.model import Exit
from harness.runtimes.base import STDERR, Chunk, FirstProcess

CALLERS = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""Variables of the caller's that a program needs to start; others would make machines differ in
secret."""


def passed_on(names: Sequence[str]) -> dict[str, str]:
    """Those of the caller's variables, as far as they are set."""
    return {name: os.environ[name] for name in names if name in os.environ}


def scratch_folder() -> Path:
    """A temporary folder of the attempt's own. Raises InfraError where none can be made."""
    try:
        return Path(tempfile.mkdtemp(prefix="harness-"))
    except OSError as error:
        raise InfraError(f"no temporary folder can be made: {error}") from error


def start(line: Sequence[str], environment: Mapping[str, str], scratch: Path) -> ProcessAttempt:
    """Start `line` in a session of its own, with no variable but those of `environment`.

    `scratch` is where it starts, and goes with it. Raises InfraError where it cannot be started.
    """
    try:
        process = subprocess.Popen(
            line,
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise InfraError(f"the workload could not be started: {error}") from error
    return ProcessAttempt(process, scratch)


class ProcessAttempt:
    """A process group. Its two outputs share one pipe, which keeps their order."""

    def __init__(self, process: subprocess.Popen[bytes], scratch: Path) -> None:
        self.process = process
        self.scratch = scratch

    def chunks(self) -> Iterator[Chunk]:
        assert self.process.stdout is not None
        with self.process.stdout:
            while data := os.read(self.process.stdout.fileno(), 65536):
                yield STDERR, data

    def running(self) -> bool:
        return self.process.poll() is None

    def cpu_s(self) -> float | None:
        import psutil

        with contextlib.suppress(psutil.Error):
            whole = psutil.Process(self.process.pid)
            times = [process.cpu_times() for process in (whole, *whole.children(recursive=True))]
            return float(sum(spent.user + spent.system for spent in times))
        return None

    def first_process(self) -> FirstProcess | None:
        return FirstProcess(self.process.pid)

    def stop(self, grace_s: float) -> None:
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        self.process.wait()

    def result(self) -> Exit:
        code = self.process.wait()
        return Exit(code=code if code >= 0 else 128 - code)

    def remove(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)
