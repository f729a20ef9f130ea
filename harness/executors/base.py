"""What places attempts, and what it is given to place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from harness.events import OnEvent, Stopped
from harness.model import Device, PlannedCase, Record
from harness.runner import Place

Lane = Device | None
"""What one task at a time is done on: a device of this machine, or somewhere else (None)."""


@dataclass(frozen=True)
class Task:
    """One repeat of one case, on the device that `case` says."""

    case: PlannedCase
    repeat: int

    def fits(self, lane: Lane) -> bool:
        return lane is None or lane == self.case.device or lane in self.case.pool

    def on(self, lane: Lane) -> Task:
        if lane is None or lane == self.case.device:
            return self
        return replace(self, case=replace(self.case, device=lane))


Work = Callable[[Task], Sequence[Task] | None]
"""Does a task; returns what is to be done next because of it, or None where all is to end."""


class Executor(Protocol):
    """Where attempts run."""

    @property
    def name(self) -> str:
        """The name it is chosen and recorded by."""

    @property
    def runtime(self) -> str:
        """The name of what starts the cases there, as far as it is known before."""

    def lanes(self, tasks: Sequence[Task], parallel: bool) -> Sequence[Lane]:
        """The lanes that some of the tasks are to be done in side by side; none: one by one.

        `parallel`: the user asked for several devices of a machine at once.
        """

    def rejoin(self, run: Path) -> None:
        """Find what an earlier start of the run in this folder left under way, before it goes on.

        Raises HarnessError where that cannot be told, or another harness is at work on it.
        """

    def attempt(
        self, case: PlannedCase, place: Place, on_event: OnEvent, stopped: Stopped
    ) -> Record:
        """Measure one attempt and return its record, which stands in `place.folder` by then.

        Waits for room where there is none. What befalls it elsewhere is an ``infra`` record, not
        an exception; once `stopped` says so, it is ended and recorded as interrupted. Called from
        several threads at once. Raises MachineError where the folder cannot be written.
        """

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        """Remove what attempts with these labels left behind; what was removed, told."""


class Elsewhere(Executor, Protocol):
    """An executor whose attempts run on other machines than the campaign's."""

    @property
    def reason(self) -> str:
        """Where that is, in the words that run.json keeps."""

    def device(self, wish: str) -> Device:
        """What a case's wish (``auto``, ``cpu``) comes to there, as far as it is known before.

        Raises InputError for what only one machine could understand, such as an index, and
        MachineError for what no machine there has.
        """
