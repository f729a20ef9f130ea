"""The repeats of all cases: what is next, what was found, and the journal's only writer."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from harness.campaign.attempts import Attempts
from harness.campaign.prepare import Prepared
from harness.campaign.schedule import Enough, Schedule
from harness.errors import MachineError
from harness.executors import Task, one_after_another, side_by_side
from harness.matrix import in_order
from harness.model import (
    CaseFinished,
    CaseStarted,
    Device,
    Event,
    OnEvent,
    PlannedCase,
    Record,
    Status,
    Stopped,
)
from harness.results.history import expected
from harness.results.run import RunFolder


class Campaign:
    """The repeats of all cases, and what has been found so far. Its lanes share it."""

    def __init__(
        self,
        prepared: Prepared,
        folder: RunFolder,
        done: Mapping[tuple[str, int], Record],
        ears: tuple[OnEvent, Stopped],
        schedule: Schedule,
    ) -> None:
        self.records = dict(done)
        self.interrupted = False
        self._prepared = prepared
        self._folder = folder
        self._schedule = schedule
        self._lock = threading.RLock()
        self._on_event, self._stopped = ears
        self._attempts = Attempts(
            folder=folder,
            machine=prepared.machine,
            runtime=prepared.chosen.runtime,
            journal=self._journal,
            on_event=self._tell,
            stopped=self._stopped,
        )
        self._enough = Enough(schedule.until)
        self._neighbours = _Neighbours()
        self._twins: dict[str, list[PlannedCase]] = {}
        for case in prepared.planned:
            if case.same_as is not None:
                self._twins.setdefault(case.same_as, []).append(case)
        self._started = 0
        self._of = 0

    def go(self, order_seed: int | None) -> None:
        """Measure what is not done yet."""
        matrix = self._prepared.matrix
        order = in_order(self._prepared.planned, matrix.repeats, matrix.order, order_seed)
        tasks = [
            Task(case, repeat) for repeat, case in order if (case.id, repeat) not in self.records
        ]
        tasks += self._still_unstable(tasks)
        self._of = len(tasks)
        # A copy follows its measurement; one whose measurement is done already stands alone.
        coming = {(task.case.id, task.repeat) for task in tasks}
        alone = [task for task in tasks if (task.case.same_as, task.repeat) not in coming]
        devices = _devices(alone)
        if self._schedule.parallel and len(devices) > 1:
            on_gpus = [task for task in alone if task.case.device.kind == "gpu"]
            side_by_side(self._longest_first(on_gpus), devices, self._work)
            alone = [t for t in alone if t.case.device.kind != "gpu"]
        if not self.interrupted:
            one_after_another(alone, self._work)

    def clear_up(self) -> None:
        """Remove the containers that an engine in trouble could not remove when it was asked."""
        if any(record.status is Status.INFRA for record in self.records.values()):
            with contextlib.suppress(MachineError):
                self._prepared.chosen.runtime.sweep({"harness.run": self._folder.run_id})

    def _longest_first(self, tasks: Sequence[Task]) -> list[Task]:
        """What takes long, or may, must not be left to the end."""
        before = expected(self._prepared.results, self._prepared.machine_hash)
        return sorted(
            tasks,
            key=lambda task: before.get((task.case.key, task.case.case.measure), math.inf),
            reverse=True,
        )

    def _work(self, task: Task) -> list[Task] | None:
        if self._stopped():
            self.interrupted = True
            return None
        self._announce(task)
        if task.case.same_as is not None:
            self._copy(task)
            return []
        started = time.monotonic()
        with self._neighbours.present(task.case.id) as beside:
            record = self._attempts.measure(task.case, task.repeat, beside)
        self._tell(CaseFinished(record))
        for copy in self._copies(task):
            self._announce(copy)
            self._copy(copy)
        if record.status is Status.INTERRUPTED or self._stopped():
            self.interrupted = True
            return None
        return self._another(task, time.monotonic() - started)

    def _another(self, task: Task, last_s: float) -> list[Task]:
        """One repeat more where the case is not stable yet."""
        if self._schedule.until is None:
            return []
        with self._lock:
            mine = sorted(repeat for case, repeat in self.records if case == task.case.id)
            planned = self._prepared.matrix.repeats
            if len(mine) < planned:
                return []
            records = [self.records[task.case.id, repeat] for repeat in mine]
            if not self._enough.another(records, last_s):
                return []
            self._of += 1
            return [Task(task.case, max(mine) + 1)]

    def _still_unstable(self, tasks: Sequence[Task]) -> list[Task]:
        """A repeat more for the cases that are done, and were not stable when the run ended."""
        busy = {task.case.id for task in tasks}
        done = [c for c in self._prepared.planned if c.id not in busy and c.same_as is None]
        last = self._prepared.matrix.repeats
        return [task for case in done for task in self._another(Task(case, last), 0.0)]

    def _announce(self, task: Task) -> None:
        with self._lock:
            self._started += 1
            number = self._started
        self._tell(CaseStarted(task.case.id, number, max(self._of, number)))

    def _copies(self, task: Task) -> list[Task]:
        return [
            Task(case, task.repeat)
            for case in self._twins.get(task.case.id, ())
            if (case.id, task.repeat) not in self.records
        ]

    def _copy(self, task: Task) -> None:
        """Show another case's figures in this cell, told apart."""
        assert task.case.same_as is not None
        measured = self.records[task.case.same_as, task.repeat]
        own = {"case_id": task.case.id, "case": task.case.case, "same_as": measured.case_id}
        record = measured.model_copy(update=own)
        self._journal(record)
        self._tell(CaseFinished(record))

    def _journal(self, record: Record) -> None:
        with self._lock:
            self._folder.journal(record)
            self.records[record.case_id, record.repeat] = record

    def _tell(self, event: Event) -> None:
        with self._lock:
            self._on_event(event)


def _devices(tasks: Sequence[Task]) -> list[Device]:
    """The GPUs that the tasks may use, in the order they are named."""
    named = [device for t in tasks for device in (t.case.device, *t.case.pool)]
    return [device for device in dict.fromkeys(named) if device.kind == "gpu"]


class _Neighbours:
    """Which cases are measured at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._there: list[tuple[str, set[str]]] = []

    @contextmanager
    def present(self, case_id: str) -> Iterator[Callable[[], tuple[str, ...]]]:
        """A function that tells, until then, who was there meanwhile."""
        me = (case_id, set[str]())
        with self._lock:
            for other, met in self._there:
                met.add(case_id)
                me[1].add(other)
            self._there.append(me)
        try:
            yield lambda: tuple(sorted(me[1]))
        finally:
            with self._lock:
                self._there = [entry for entry in self._there if entry is not me]
