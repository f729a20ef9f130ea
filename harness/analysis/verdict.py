"""Does it fit? From what the batches of one setting came to, by one decision table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from harness.analysis.fit import OUT_OF_MEMORY, Fit
from harness.model import Record, Status

FAILURES = (Status.FAILED, Status.STALLED)
"""What speaks against the hardware (or its software) beside memory. An infrastructure fault, a time
limit, the user's own stop and what was skipped say nothing of it."""


class Outcome(str, Enum):
    """`OPEN` says nothing against the hardware: nobody knows yet."""

    FEASIBLE = "feasible"
    SMALLER = "feasible with a smaller batch"
    NOT_FEASIBLE = "not feasible"
    OPEN = "no verdict"


@dataclass(frozen=True)
class Facts:
    """All that the decision is made from: batches by how they ended, and the protocol's own.

    `completed` are measured ones, `short` ran out of memory (probes of ``harness fit`` included),
    `fits` is the largest that such probes completed.
    """

    asked: int
    completed: frozenset[int] = frozenset()
    short: frozenset[int] = frozenset()
    failed: bool = False
    fits: int | None = None

    @property
    def ran(self) -> frozenset[int]:
        return self.completed | ({self.fits} if self.fits is not None else set())

    @property
    def largest(self) -> int | None:
        """The largest that ran below all that did not: where chance has a say, rely on that."""
        limit = min(self.short, default=None)
        return max((batch for batch in self.ran if limit is None or batch < limit), default=None)


@dataclass(frozen=True)
class Row:
    """When `applies`, the outcome is `outcome`, at the batch that `batch` tells."""

    name: str
    applies: Callable[[Facts], bool]
    outcome: Outcome
    batch: Callable[[Facts], int | None]


TABLE = (
    Row("as asked", lambda f: f.asked in f.completed, Outcome.FEASIBLE, lambda f: f.asked),
    Row(
        "a larger batch ran",
        lambda f: f.largest is not None and f.largest >= f.asked,
        Outcome.FEASIBLE,
        lambda f: f.largest,
    ),
    Row(
        "a smaller batch ran", lambda f: f.largest is not None, Outcome.SMALLER, lambda f: f.largest
    ),
    Row("contradiction", lambda f: bool(f.short and f.ran), Outcome.OPEN, lambda f: min(f.short)),
    Row("out of memory", lambda f: bool(f.short), Outcome.NOT_FEASIBLE, lambda f: min(f.short)),
    Row("failed", lambda f: f.failed, Outcome.NOT_FEASIBLE, lambda _: None),
    Row("nothing is known", lambda _: True, Outcome.OPEN, lambda _: None),
)
"""From top to bottom; the first row that applies decides."""


def decide(facts: Facts) -> tuple[Outcome, int | None]:
    """The outcome and the batch it is about."""
    row = next(row for row in TABLE if row.applies(facts))
    return row.outcome, row.batch(facts)


def facts_of(asked: int, measured: Iterable[Record], fit: Fit) -> Facts:
    """What the records of one setting come to; probes are in `fit`."""
    known = list(measured)
    short = {r.case.batch_size for r in known if r.status in OUT_OF_MEMORY}
    return Facts(
        asked=asked,
        completed=frozenset(r.case.batch_size for r in known if r.status.completed),
        short=frozenset(short | ({fit.oom} if fit.oom is not None else set())),
        failed=any(r.status in FAILURES for r in known),
        fits=fit.largest,
    )
