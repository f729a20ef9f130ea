"""One repeat of one case: an attempt, and further ones after faults that may pass."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.errors import MachineError
from harness.events import OnEvent, Retrying, Stopped
from harness.executors import Executor
from harness.model import PlannedCase, Record, Status
from harness.results.run import RunFolder
from harness.runner import Place, attempt_labels

FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 60.0
LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Attempts:
    """Makes attempts in `folder`; `journal` keeps the record of each before anything else."""

    folder: RunFolder
    machine: str
    executor: Executor
    journal: Callable[[Record], None]
    on_event: OnEvent
    stopped: Stopped
    _troubled: threading.Event = field(default_factory=threading.Event)

    def measure(
        self, case: PlannedCase, repeat: int, beside: Callable[[], tuple[str, ...]]
    ) -> Record:
        """The last attempt's record; every one is journalled. Raises MachineError."""
        wait_s = FIRST_WAIT_S
        lost: list[Record] = []
        for left in range(case.case.limits.retries, -1, -1):
            record = self._attempt(case, repeat, beside)
            self.journal(record)
            if record.status is Status.INFRA:
                self._troubled.set()
            if not (record.transient and left) or self.stopped():
                break
            self.on_event(Retrying(record, wait_s))
            if not self._wait(wait_s):
                break
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            lost = [one for one in (*lost, record) if not self._swept(one)]
        return record

    def clear_up(self) -> None:
        """At the run's end: what an engine in trouble could not remove when it was asked."""
        if self._troubled.is_set():
            with contextlib.suppress(MachineError):
                self.executor.sweep({"harness.run": self.folder.run_id})

    def _attempt(
        self, case: PlannedCase, repeat: int, beside: Callable[[], tuple[str, ...]]
    ) -> Record:
        number, folder = self.folder.next_attempt(case.id, repeat)
        place = Place(
            run_id=self.folder.run_id,
            machine=self.machine,
            repeat=repeat,
            attempt=number,
            folder=folder,
            labels={"harness.folder": str(self.folder.path)},
            beside=beside,
        )
        return self.executor.attempt(case, place, self.on_event, self.stopped)

    def _swept(self, lost: Record) -> bool:
        """An engine in trouble may not have removed the attempt that it lost; False where it still
        cannot."""
        with contextlib.suppress(MachineError):
            self.executor.sweep(
                attempt_labels(lost.run_id, lost.case_id, lost.repeat, lost.attempt)
            )
            return True
        return False

    def _wait(self, seconds: float) -> bool:
        """False where the user stopped the run meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.stopped():
                return False
            time.sleep(LOOK_EVERY_S)
        return True
