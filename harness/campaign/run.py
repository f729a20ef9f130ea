"""Which case next, how often, and the journal: the only writer of records.jsonl."""

from __future__ import annotations

import contextlib
import math
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import __version__
from harness.campaign.attempts import Attempts
from harness.campaign.prepare import Prepared
from harness.campaign.resume import changes, keep, refuse_another_machine
from harness.campaign.schedule import Enough, Schedule, new_seed
from harness.errors import MachineError
from harness.executors import Task, one_after_another, side_by_side
from harness.matrix import in_order
from harness.model import (
    CaseFinished,
    CaseStarted,
    Device,
    Event,
    Note,
    OnEvent,
    Record,
    Status,
    Stopped,
    as_expected,
)
from harness.results.history import expected
from harness.results.reading import read_run
from harness.results.recovery import recover
from harness.results.run import Invocation, RunFolder, RunInfo, impersonal, now, sha256


@dataclass(frozen=True)
class Outcome:
    """A run that has ended: its folder, its standing records, and whether the user stopped it."""

    folder: Path
    records: tuple[Record, ...]
    interrupted: bool

    @property
    def as_expected(self) -> bool:
        """Whether every case completed, or ended as the matrix expects."""
        return not self.interrupted and all(as_expected(r.case, r.status) for r in self.records)


def run(
    prepared: Prepared,
    on_event: OnEvent,
    stopped: Stopped = lambda: False,
    schedule: Schedule = Schedule(),  # noqa: B008 - frozen
) -> Outcome:
    """Measure every case as often as the matrix says; each attempt is on the disk before the next.

    Once `stopped` says so, what runs is ended and journalled as `interrupted`, and nothing else is
    started. Raises MachineError where the run folder can no longer be written.
    """
    folder = RunFolder.create(prepared.results)
    with folder.locked():
        return _go(
            prepared, folder, _info(prepared, folder.run_id), {}, (on_event, stopped), schedule
        )


def resume(
    prepared: Prepared,
    path: Path,
    rerun: Sequence[Status],
    on_event: OnEvent,
    stopped: Stopped = lambda: False,
    schedule: Schedule = Schedule(),  # noqa: B008 - frozen
) -> Outcome:
    """Go on with the run in the folder `path`: measure what does not count as done.

    Raises InputError where another harness is at work on it or it is another machine's.
    """
    folder = RunFolder.open(path)
    with folder.locked():
        found = recover(folder)
        before = read_run(folder.path)
        refuse_another_machine(before.info, prepared.machine_hash)
        kept = keep(before.standing(), prepared.planned, rerun)
        swept = prepared.chosen.runtime.sweep({"harness.run": folder.run_id})
        left = [f"removed a container that was left: {what}" for what in swept]
        for note in (*found.notes(), *left, *changes(before.info, prepared.planned), *kept.notes):
            on_event(Note(note))
        info = _continued(before.info, _info(prepared, folder.run_id))
        return _go(prepared, folder, info, kept.records, (on_event, stopped), schedule)


def _info(prepared: Prepared, run_id: str) -> RunInfo:
    digest = sha256(prepared.text)
    invocation = Invocation(
        started_at=now(),
        runtime=prepared.chosen.runtime.name,
        runtime_reason=impersonal(prepared.chosen.reason),
        harness_version=__version__,
        python=platform.python_version(),
        matrix_sha256=digest,
        order_seed=_seed(prepared),
    )
    return RunInfo(
        run_id=run_id,
        machine=prepared.machine,
        machine_hash=prepared.machine_hash,
        fingerprint=prepared.fingerprint,
        matrix=prepared.text,
        matrix_sha256=digest,
        cases=prepared.cases,
        ingredients={case.id: dict(case.ingredients) for case in prepared.planned},
        invocations=(invocation,),
    )


def _seed(prepared: Prepared) -> int | None:
    if prepared.matrix.order != "shuffled":
        return None
    return new_seed() if prepared.matrix.seed is None else prepared.matrix.seed


def _continued(before: RunInfo, now_: RunInfo) -> RunInfo:
    """The run's facts with another invocation; cells that are not measured now stay known."""
    again = {case.id: case for case in now_.cases}
    cells = tuple(again.pop(case.id, case) for case in before.cases)
    return now_.model_copy(
        update={
            "machine": before.machine,
            "cases": cells + tuple(again.values()),
            "ingredients": {**before.ingredients, **now_.ingredients},
            "invocations": before.invocations + now_.invocations,
        }
    )


def _go(
    prepared: Prepared,
    folder: RunFolder,
    info: RunInfo,
    done: Mapping[tuple[str, int], Record],
    ears: tuple[OnEvent, Stopped],
    schedule: Schedule,
) -> Outcome:
    folder.write_info(info)
    campaign = _Campaign(prepared, folder, done, ears, schedule)
    try:
        campaign.go(info.invocations[-1].order_seed)
    finally:
        campaign.clear_up()
    ended = info.invocations[-1].model_copy(update={"finished_at": now()})
    folder.write_info(info.model_copy(update={"invocations": (*info.invocations[:-1], ended)}))
    return Outcome(folder.path, tuple(campaign.records.values()), campaign.interrupted)


class _Campaign:
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
        alone = [task for task in tasks if not self._follows_another(task, tasks)]
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

    def _follows_another(self, task: Task, tasks: Sequence[Task]) -> bool:
        return task.case.same_as is not None and any(
            other.case.id == task.case.same_as and other.repeat == task.repeat for other in tasks
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
            for case in self._prepared.planned
            if case.same_as == task.case.id and (case.id, task.repeat) not in self.records
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
