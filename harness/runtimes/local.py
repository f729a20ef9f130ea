"""Cases in this Python environment: no container, no pinned image, and the record says so."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.errors import InfraError, NoFrameworkError
from harness.model import Exit, LaunchSpec
from harness.runtimes.base import STDERR, Chunk
from harness.runtimes.command import arguments, environment

PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "CUDA_HOME")
"""Variables of the caller's that a case sees; all others would make machines differ in secret."""

INSTALL = "pip install 'tensorflow>=2.15', or make install, which adds it where no engine answers"
_MODULES = {"tensorflow": "tensorflow"}


def require(framework: str) -> None:
    """Raise NoFrameworkError where this environment lacks the framework."""
    if importlib.util.find_spec(_MODULES[framework]) is None:
        raise NoFrameworkError(f"this Python environment has no {framework}", INSTALL)


class LocalRuntime:
    """A process of this interpreter, in a session of its own."""

    name = "local"

    def start(self, spec: LaunchSpec) -> LocalAttempt:
        try:
            scratch = tempfile.mkdtemp(prefix="harness-")
        except OSError as error:
            raise InfraError(f"no temporary folder can be made: {error}") from error
        shown = environment(spec.device, scratch)
        if spec.device.uuid is not None:
            shown["CUDA_VISIBLE_DEVICES"] = spec.device.uuid
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        line = arguments(
            sys.executable,
            str(spec.workload),
            str(spec.out),
            str(spec.data or spec.out),
            str(spec.weights) if spec.weights else None,
        )
        try:
            process = subprocess.Popen(
                line,
                cwd=scratch,
                env={**passed, "PYTHONUSERBASE": site.getuserbase(), **shown, **spec.env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise InfraError(f"the workload could not be started: {error}") from error
        return LocalAttempt(process, Path(scratch))

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        del labels  # a workload whose harness is gone ends itself
        return []


class LocalAttempt:
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
