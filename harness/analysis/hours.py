"""How long the whole protocol takes, by dataset. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from harness.analysis.pivot import figure
from harness.model import Record

TOTAL = "total_execution_s"


@dataclass(frozen=True)
class Hours:
    """Training and validation of the whole protocol on `dataset`, in seconds.

    The median over `repeats`; where one at least was measured whole, over these alone. `interval`
    is that of a single prediction.
    """

    dataset: str
    seconds: float
    predicted: bool
    interval: tuple[float, float] | None
    repeats: int


def hours_of(completed: Iterable[Record]) -> tuple[Hours, ...]:
    """From completed records of one batch, under a protocol that is not cut short."""
    by_dataset: dict[str, list[Record]] = {}
    for record in completed:
        if figure(record, TOTAL) is not None:
            by_dataset.setdefault(record.case.dataset, []).append(record)
    return tuple(_hours(dataset, records) for dataset, records in by_dataset.items())


def _hours(dataset: str, records: list[Record]) -> Hours:
    measured = [record for record in records if TOTAL not in record.timing.predicted]
    counted = measured or records
    values = [value for record in counted if (value := figure(record, TOTAL)) is not None]
    alone = counted[0].timing.intervals.get(TOTAL) if len(counted) == 1 else None
    return Hours(dataset, statistics.median(values), not measured, alone, len(counted))
