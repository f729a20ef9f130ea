"""Cases in containers of Apptainer (or SingularityCE): a process of the caller's own, no engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.errors import MachineError, NoEngineError, NoGpuSupportError
from harness.model import LaunchSpec
from harness.runtimes import processes
from harness.runtimes.apptainer_options import Terms, command_line, container

PROGRAMS = ("apptainer", "singularity")

PASSED_ON = (
    *processes.CALLERS,
    *("HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
    *("APPTAINER_CACHEDIR", "APPTAINER_TMPDIR", "APPTAINER_CONFIGDIR"),
    *("SINGULARITY_CACHEDIR", "SINGULARITY_TMPDIR", "SINGULARITY_CONFIGDIR"),
)
"""What the program itself needs. All others stay out: APPTAINER_BIND, APPTAINERENV_x and the like
would make another container of it."""

FIRST_START_S = 600.0
"""How long a container may take to start: without FUSE the image is unpacked first."""

ANSWER_S = 60.0
"""How long it may take to say its version: a cold network disk is slow."""

NO_GPU_FILES = re.compile(r"could not find any (nv|rocm) files", re.IGNORECASE)


def find_program() -> str:
    """The program that starts containers. Raises NoEngineError where there is none."""
    for name in PROGRAMS:
        if path := shutil.which(name):
            return path
    raise NoEngineError(
        "neither apptainer nor singularity is to be found",
        "load its module or install it, or use --runtime docker or --runtime local",
    )


def ask_version(program: str) -> str:
    """What the program calls itself. Raises MachineError where it does not answer."""
    try:
        told = _ended([program, "--version"], ANSWER_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"{program} does not answer: {error}") from error
    if told.returncode != 0:
        raise MachineError(f"{program} does not answer: {_last_words(told.stderr)}")
    return told.stdout.strip() or program


def _ended(line: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """The program run to its end, with what it needs of the caller's environment.

    Raises OSError and TimeoutExpired.
    """
    return subprocess.run(
        line,
        env=processes.passed_on(PASSED_ON),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


class ApptainerRuntime:
    """Starts `apptainer exec` as a process group; `program` is its path."""

    name = "apptainer"

    def __init__(self, program: str) -> None:
        self.terms = Terms(program)

    def start(self, spec: LaunchSpec) -> processes.ProcessAttempt:
        scratch = processes.scratch_folder()
        line = command_line(spec, self.terms, scratch)
        return processes.start(line, processes.passed_on(PASSED_ON), scratch)

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        del labels  # a workload whose harness is gone ends itself, and its container with it
        return []

    def rehearse(self, spec: LaunchSpec) -> list[str]:
        """Start `spec` with a command that does nothing, to find refusals before the first case.

        Returns what had to be left out. Raises NoGpuSupportError where the container gets no GPU,
        and MachineError where it is refused for another reason.
        """
        whole = self.terms
        first = self._start_nothing(spec)
        if first.returncode == 0:
            _require_gpu(spec, first.stderr)
            return []
        self.terms = replace(whole, isolates_network=False)
        second = self._start_nothing(spec)
        if second.returncode != 0:
            self.terms = whole
            raise _refusal(spec, second.stderr)
        _require_gpu(spec, second.stderr)
        return [f"network isolation ({_last_words(first.stderr)})"]

    def _start_nothing(self, spec: LaunchSpec) -> subprocess.CompletedProcess[str]:
        scratch = processes.scratch_folder()
        try:
            return _ended([*container(spec, self.terms, scratch), "true"], FIRST_START_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MachineError(f"{self.terms.program} does not start a case: {error}") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _require_gpu(spec: LaunchSpec, said: str) -> None:
    if spec.device.kind == "gpu" and NO_GPU_FILES.search(said):
        raise NoGpuSupportError(
            f"apptainer cannot give a container the GPU {spec.device.name}: {_last_words(said)}",
            "install the driver's libraries on this machine until ldconfig -p lists them, "
            "or measure in this environment with --runtime local",
        )


def _refusal(spec: LaunchSpec, said: str) -> MachineError:
    step = (
        "a limit of memory needs cgroups v2 that systemd delegates to this user: leave "
        "memory_limit out, or use --runtime docker"
        if spec.memory_limit is not None
        else "apptainer exec IMAGE true shows whether it starts any container here"
    )
    return MachineError(f"apptainer refuses to start a case: {_last_words(said)}", step)


def _last_words(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return re.sub(r"^(FATAL|ERROR|WARNING):\s+", "", lines[-1]) if lines else "it said nothing"
