"""The repeats of all cases: what is next, what was found, and the journal's only writer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from harness.campaign.attempts import Attempts
from harness.campaign.order import longest_first
from harness.campaign.prepare import Prepared
from harness.campaign.schedule import Enough, Schedule
from harness.errors import MachineError
from harness.events import CaseFinished, CaseStarted, Event, OnEvent, Stopped
from harness.executors import Task, one_after_another, side_by_side
from harness.matrix import in_order
from harness.model import PlannedCase, Record, Status
from harness.results.history import Expected, expected, expected_anywhere
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
        met: Callable[[Record], None],
    ) -> None:
        self.records = dict(done)
        self.interrupted = False
        self._prepared = prepared
        self._folder = folder
        self._schedule = schedule
        self._met = met
        self._lock = threading.RLock()
        self._on_event, self._stopped = ears
        self._attempts = Attempts(
            folder=folder,
            machine=prepared.machine,
            executor=prepared.placed.executor,
            journal=self._journal,
            on_event=self._tell,
            stopped=self._stopped,
        )
        self._enough = Enough(schedule)
        self._neighbours = _Neighbours()
        self._twins: dict[str, list[PlannedCase]] = {}
        for case in prepared.planned:
            if case.same_as is not None:
                self._twins.setdefault(case.same_as, []).append(case)
        self._repeats = _Repeats()
        self._journal_failed: MachineError | None = None
        self._started = 0
        self._of = 0

    def go(self, order_seed: int | None, again: Sequence[tuple[str, int]] = ()) -> None:
        """Measure what is not done yet, and the repeats `again` beyond those of the matrix."""
        matrix = self._prepared.matrix
        planned = self._prepared.planned
        order = in_order(planned, matrix.repeats, matrix.order, order_seed)
        tasks = [
            Task(case, repeat) for repeat, case in order if (case.id, repeat) not in self.records
        ]
        by_id = {case.id: case for case in planned}
        tasks += [Task(by_id[case_id], n) for case_id, n in again if n > matrix.repeats]
        for case_id, repeat in self.records:
            self._repeats.seen(case_id, repeat)
        for task in tasks:
            self._repeats.begin(task.case.id, task.repeat)
        if self._schedule.until is not None:
            tasks += [more for case in planned for more in self._another(case, 0.0)]
        self._of = len(tasks)
        # A copy follows its measurement; one whose measurement is done already stands alone.
        coming = {(task.case.id, task.repeat) for task in tasks}
        alone = [task for task in tasks if (task.case.same_as, task.repeat) not in coming]
        lanes = self._prepared.placed.executor.lanes(alone, self._schedule.parallel)
        shared = [task for task in alone if any(task.fits(lane) for lane in lanes)]
        if shared:
            side_by_side(longest_first(shared, self._took()), lanes, self._work)
        if not self.interrupted:
            one_after_another([task for task in alone if task not in shared], self._work)

    def _took(self) -> Expected:
        """How long cases took before, where these are measured."""
        results = self._prepared.results
        if self._prepared.placed.elsewhere:
            return expected_anywhere(results)
        return expected(results, self._prepared.machine_hash)

    def clear_up(self) -> None:
        """Remove what an engine in trouble could not remove when it was asked."""
        self._attempts.clear_up()

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
        for twin in self._twins.get(task.case.id, ()):
            copy = Task(twin, task.repeat)
            self._announce(copy)
            self._copy(copy)
        self._repeats.end(task.case.id)
        if record.status is Status.INTERRUPTED or self._stopped():
            self.interrupted = True
            return None
        return self._another(task.case, time.monotonic() - started)

    def _another(self, case: PlannedCase, last_s: float) -> list[Task]:
        """One repeat more where nothing of the case is under way and it is not stable yet."""
        if self._schedule.until is None or case.same_as is not None:
            return []
        with self._lock:
            last = self._repeats.idle_after(case.id)
            records = [
                self.records[case.id, repeat]
                for repeat in range(1, last + 1)
                if (case.id, repeat) in self.records
            ]
            if not records or not self._enough.another(records, last_s):
                return []
            self._of += 1
            self._repeats.begin(case.id, last + 1)
            return [Task(case, last + 1)]

    def _announce(self, task: Task) -> None:
        with self._lock:
            self._started += 1
            number = self._started
        self._tell(CaseStarted(task.case.id, number, max(self._of, number)))

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
            if self._journal_failed is not None:
                raise self._journal_failed  # its last line may be torn: nothing may follow it
            try:
                self._folder.journal(record)
            except MachineError as error:
                self._journal_failed = error
                raise
            self._met(record)
            self.records[record.case_id, record.repeat] = record

    def _tell(self, event: Event) -> None:
        with self._lock:
            self._on_event(event)


class _Repeats:
    """How many repeats of each case are under way, and the last that was handed out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()
        self._last: dict[str, int] = {}

    def seen(self, case_id: str, repeat: int) -> None:
        """One that is done already."""
        with self._lock:
            self._last[case_id] = max(self._last.get(case_id, 0), repeat)

    def begin(self, case_id: str, repeat: int) -> None:
        self.seen(case_id, repeat)
        with self._lock:
            self._under_way[case_id] += 1

    def end(self, case_id: str) -> None:
        with self._lock:
            self._under_way[case_id] -= 1

    def idle_after(self, case_id: str) -> int:
        """The last repeat's number; 0 while one is under way."""
        with self._lock:
            return 0 if self._under_way[case_id] else self._last.get(case_id, 0)


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
