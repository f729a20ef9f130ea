"""What every runtime offers. A new one is a page: start, and the seven things below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from harness.model import Exit, LaunchSpec

STDOUT, STDERR = 1, 2

Chunk = tuple[int, bytes]
"""The stream it came from (STDOUT or STDERR) and the bytes, cut anywhere."""


@dataclass(frozen=True)
class FirstProcess:
    """A case's first process as this machine counts them.

    `container` is the whole id of the container it runs in, None where it runs in none that an
    engine keeps apart.
    """

    pid: int
    container: str | None = None


class Attempt(Protocol):
    """One started case. Every method may raise InfraError where the runtime itself failed."""

    def chunks(self) -> Iterator[Chunk]:
        """The output, complete and in order per stream; ends when the case has ended."""

    def running(self) -> bool:
        """Whether the case still runs."""

    def cpu_s(self) -> float | None:
        """Seconds of processor time used so far; None where it cannot be known."""

    def first_process(self) -> FirstProcess | None:
        """Where what the case uses can be looked up; None where it cannot, or where it ended."""

    def stop(self, grace_s: float) -> None:
        """Ask it to end (TERM), and end it (KILL) after `grace_s`."""

    def result(self) -> Exit:
        """How it ended; call it only after it did."""

    def remove(self) -> None:
        """Leave nothing behind, whatever state it is in. Never raises."""


class Runtime(Protocol):
    """Starts cases."""

    @property
    def name(self) -> str:
        """The name it is chosen and recorded by."""

    def start(self, spec: LaunchSpec) -> Attempt:
        """Start the workload. Raises InfraError where it cannot be started."""

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        """Remove what is left of earlier attempts with all these labels; returns what it was.

        Call it with the run held. Raises MachineError where it cannot be removed.
        """
