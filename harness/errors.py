"""What goes wrong on the harness's or the user's side; a case's own failure is a result."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says when it ends."""

    OK = 0
    CASES_FAILED = 1
    BAD_INPUT = 2
    MACHINE_LACKS = 3
    INTERRUPTED = 130


class HarnessError(Exception):
    """Something the user can mend: what happened, what to do next, and the exit code."""

    exit_code: ExitCode = ExitCode.MACHINE_LACKS

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class InputError(HarnessError):
    """A file, option or name that the user gave is wrong (exit 2)."""

    exit_code = ExitCode.BAD_INPUT


class MachineError(HarnessError):
    """This machine lacks what the request needs, found before the first case starts (exit 3)."""

    exit_code = ExitCode.MACHINE_LACKS


class NoEngineError(MachineError):
    """No container engine answers."""


class NoImageError(MachineError):
    """An image is neither on this machine nor to be had."""


class NoGpuSupportError(MachineError):
    """A GPU was asked for and the runtime cannot hand it to the case."""


class NoFrameworkError(MachineError):
    """This Python environment does not hold the framework."""


class InfraError(Exception):
    """Engine, image, dataset or disk failed while a case ran: the case becomes `infra`.

    `transient` where it may pass by itself, so that another attempt is worth it.
    """

    def __init__(self, message: str, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient
