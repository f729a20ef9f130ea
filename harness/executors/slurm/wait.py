"""One task waited for, from the queue to its attempt's record."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from harness.errors import MachineError
from harness.events import Note, OnEvent, Stopped
from harness.executors.slurm.arrays import Job
from harness.executors.slurm.queue import Pace, Queue
from harness.executors.slurm.states import Seen, Verdict, corrected, in_doubt, verdict
from harness.executors.slurm.task import Refused, answer, has_begun, last_printed
from harness.model import Record, Status
from harness.results.files import write_atomic
from harness.results.run import RECORD_FILE

WAKE_S = 0.2
LOOK_S = 1.0
"""How often the folder of a task that has ended is looked at, whenever Slurm is asked again."""

STOPPED = "stopped by the user"


@dataclass(frozen=True)
class Ended:
    """A task that ended without a record. `begun`: the harness had started there."""

    verdict: Verdict
    begun: bool
    printed: str


@dataclass(frozen=True)
class Waiting:
    """Waits for tasks that `queue` watches."""

    queue: Queue
    pace: Pace
    on_event: OnEvent
    stopped: Stopped

    def outcome(self, job: Job) -> Record | Ended:
        """The record that the task left, or what is known of its end; the user may end it.

        Raises MachineError for a record that cannot be understood.
        """
        self.queue.watch(job.task)
        try:
            return self._outcome(job)
        finally:
            self.queue.forget(job.task)

    def _outcome(self, job: Job) -> Record | Ended:
        looked, looked_at = 0, -math.inf
        found: Record | Refused | None = None
        ended, found_at, leaving = Since(), Since(), Since()
        while True:
            look = self.queue.look(job.task)
            seen = look.seen
            over = seen is not None and seen.ended
            lost = over and seen is not None and self._given_up(seen, ended)
            lost = (self.stopped() and self._left_alone(job, leaving)) or lost
            news = look.number != looked or (over and time.monotonic() - looked_at >= LOOK_S)
            if found is None and (lost or (news and (seen is None or not seen.waits))):
                looked_at = time.monotonic()
                found = answer(job.folder)
            if look.number != looked:
                looked = look.number
                self._tell(job, seen)
            if isinstance(found, Refused):
                return _refused(job, found)
            if found is not None and (lost or self._settled(found, job, over, found_at)):
                return _adopted(found, job, seen)
            if lost:
                return self._lost(job, seen)
            time.sleep(WAKE_S)

    def _tell(self, job: Job, seen: Seen | None) -> None:
        news = self.queue.news(job.task, seen) if seen is not None else None
        if news is not None:
            self.on_event(Note(news))

    def _settled(self, record: Record, job: Job, over: bool, since: Since) -> bool:
        """Whether nothing that Slurm may still say could change the record."""
        if not in_doubt(record) or self.queue.was_stopped(job.task):
            return True
        return over or since.more_than(self.pace.grace_s)

    def _given_up(self, seen: Seen, since: Since) -> bool:
        """Whether a task that has ended will show no record; one that never ran cannot."""
        return not seen.began or since.more_than(self.pace.grace_s)

    def _left_alone(self, job: Job, since: Since) -> bool:
        """End the task; whether it has not answered for so long that it is left to Slurm."""
        self.queue.stop()
        if since.more_than(self.pace.leave_s):
            if not since.told:
                since.told = True
                self.queue.cancel(job.task)
            return since.more_than(self.pace.leave_s + self.pace.grace_s)
        return False

    def _lost(self, job: Job, seen: Seen | None) -> Ended:
        printed, begun = last_printed(job.output), has_begun(job.folder)
        if self.queue.was_stopped(job.task):
            told = Verdict(Status.INTERRUPTED, f"{STOPPED} (job {job.task})")
        else:
            assert seen is not None
            told = verdict(job.task, seen, printed)
        return Ended(told, begun, printed)


class Since:
    """How long something has been so, from the first time that it is asked about."""

    def __init__(self) -> None:
        self._began: float | None = None
        self.told = False

    def more_than(self, seconds: float) -> bool:
        now = time.monotonic()
        if self._began is None:
            self._began = now
        return now - self._began >= seconds


def _refused(job: Job, refused: Refused) -> Ended:
    told = f"{refused.node} (job {job.task}): {refused.message}"
    told += f"; try there: {refused.next_step}" if refused.next_step else ""
    return Ended(Verdict(Status.INFRA, told), True, "")


def _adopted(record: Record, job: Job, seen: Seen | None) -> Record:
    """The record as it stands in its folder, with what Slurm alone knows of its ending."""
    if seen is None or not seen.ended or not in_doubt(record):
        return record
    mended = corrected(record, job.task, seen)
    if mended != record:
        write_atomic(job.folder / RECORD_FILE, mended.model_dump_json() + "\n")
    return mended


def not_started(job: Job, ended: Ended) -> MachineError:
    """That no task got as far as the harness, which is no case's fault nor one node's."""
    told = ended.printed or "it printed nothing"
    return MachineError(
        f"the harness could not be started on the cluster (job {job.task}): {told}",
        "name the interpreter that has the harness there (python: in the site file) and what it "
        f"needs before (prologue:); the whole output is {job.output}",
    )
