"""What Slurm says of a task, and what it means for an attempt. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.model import Record, Status


@dataclass(frozen=True)
class Seen:
    """A task in Slurm's words: its state, its node ('' before it has one), why it waits."""

    state: str
    node: str
    reason: str

    @property
    def waits(self) -> bool:
        return self.state == "PENDING"

    @property
    def ended(self) -> bool:
        return self.state in _ENDINGS or self.state == UNKNOWN

    @property
    def began(self) -> bool:
        return self.node not in ("", "None assigned", "(null)")


UNKNOWN = "UNKNOWN"
"""Slurm knows no such task any more, and nobody keeps accounts."""

GONE = Seen(UNKNOWN, "somewhere", "")


@dataclass(frozen=True)
class Verdict:
    """What became of an attempt that left no record, or one that does not know it all."""

    status: Status
    reason: str
    transient: bool = False


_ENDINGS: Mapping[str, tuple[Status, str, bool]] = {
    "CANCELLED": (Status.INTERRUPTED, "was cancelled in Slurm", False),
    "TIMEOUT": (Status.TIMEOUT, "was over its time limit in Slurm (time in the site file)", False),
    "DEADLINE": (Status.TIMEOUT, "was over its deadline in Slurm", False),
    "OUT_OF_MEMORY": (
        Status.OOM_HOST,
        "was over the memory that Slurm had given it (--mem in the site file's extra)",
        False,
    ),
    "NODE_FAIL": (Status.INFRA, "was lost with its node", True),
    "BOOT_FAIL": (Status.INFRA, "was lost: its node could not be started", True),
    "PREEMPTED": (Status.INFRA, "was preempted", True),
    "REVOKED": (Status.INFRA, "was taken back by another cluster", True),
    "FAILED": (Status.INFRA, "failed", False),
    "COMPLETED": (Status.INFRA, "ended", False),
}
"""Slurm's last states: the status they are, what is told, and whether another try is worth it."""

_OWN_WORD = frozenset({"FAILED", "COMPLETED"})
"""States that say no more than that the task's own process ended."""


def verdict(task: str, seen: Seen, printed: str) -> Verdict:
    """What to make of a task that has ended without a record; `printed` is its output's end."""
    status, what, transient = _ENDINGS.get(seen.state, (Status.INFRA, "vanished", False))
    where = f" on {seen.node}" if seen.began and seen is not GONE else ""
    told = f"job {task}{where} {what}"
    if seen.state in _OWN_WORD or seen.state not in _ENDINGS:
        told += " without a record"
        told += f"; its output ends: {printed}" if printed else ""
    return Verdict(status, told, transient)


def in_doubt(record: Record) -> bool:
    """Whether the record may not know why the case ended: Slurm may have ended it."""
    killed = record.status is Status.FAILED and record.exit.code == 137
    return record.status is Status.INTERRUPTED or killed


def corrected(record: Record, task: str, seen: Seen) -> Record:
    """The record with what Slurm knows of the ending that the node could not know."""
    if seen.state in _OWN_WORD or seen.state not in _ENDINGS:
        return record
    if record.status is Status.FAILED and seen.state != "OUT_OF_MEMORY":
        return record
    found = verdict(task, seen, "")
    changes = {"status": found.status, "reason": found.reason, "transient": found.transient}
    return record.model_copy(update=changes)
