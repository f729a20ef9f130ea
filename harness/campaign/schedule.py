"""How often and in what order: the tasks of a run, and when a case has been measured enough."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.statistics import summarise
from harness.campaign.resume import disturbed
from harness.model import Record


@dataclass(frozen=True)
class UntilStable:
    """Repeat each case until the interval of its median is within `share` of it.

    No repeat beyond `max_repeats` is begun, and none that is not likely to end within `max_time_s`
    of the run's beginning.
    """

    share: float
    max_repeats: int = 20
    max_time_s: float = 4 * 3600.0


@dataclass(frozen=True)
class Schedule:
    """What the command line says of the order of things, and of what counts.

    `parallel`: several devices measure at once. `until` asks for more repeats than the matrix's.
    `strict`: what something else disturbed does not count.
    """

    parallel: bool = False
    until: UntilStable | None = None
    strict: bool = False

    def counts(self, record: Record) -> bool:
        """Whether its figures are to be used."""
        return record.status.completed and not (self.strict and disturbed(record))


class Enough:
    """Whether a case needs one more repeat."""

    def __init__(self, schedule: Schedule, clock: Callable[[], float] = time.monotonic) -> None:
        self._until = schedule.until
        self._counts = schedule.counts
        self._clock = clock
        self._started = clock()

    def another(self, records: Sequence[Record], last_s: float) -> bool:
        """Whether to measure again after `records` of one case, the last of which took `last_s`."""
        if self._until is None or len(records) >= self._until.max_repeats:
            return False
        if not records[-1].status.completed:
            return False
        if self._clock() - self._started + last_s > self._until.max_time_s:
            return False
        return not _stable(list(filter(self._counts, records)), self._until.share)


def _stable(records: Sequence[Record], share: float) -> bool:
    totals = [record.timing.total_execution_s for record in records]
    values = [total for total in totals if total is not None]
    if len(values) < 2:
        return False
    found = summarise(values)
    if found.interval is None:
        return False
    low, high = found.interval
    return max(found.median - low, high - found.median) <= share * found.median


def new_seed() -> int:
    """A seed for a shuffled order that none was given for."""
    return secrets.randbelow(2**31)
