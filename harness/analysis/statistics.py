"""What repeats of one case say together. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
OUTLIER = 3.5
"""Modified Z-score from which a value is an outlier (Iglewicz and Hoaglin, 1993)."""

METHOD_T = "Student's t around the mean"
METHOD_NONE = "within-run interval only"


@dataclass(frozen=True)
class Summary:
    """`values` in the order measured; `interval` is None with a single one."""

    values: tuple[float, ...]
    median: float
    mean: float
    low: float
    high: float
    interval: tuple[float, float] | None
    method: str
    variation: float | None
    outliers: tuple[int, ...]


def summarise(values: Sequence[float]) -> Summary:
    """Median, mean, range, 95% interval and outliers. Raises ValueError where there is no value."""
    if not values:
        raise ValueError("no value to summarise")
    mean = statistics.fmean(values)
    several = len(values) > 1
    spread = statistics.stdev(values) if several else 0.0
    half = _quantile(len(values)) * spread / math.sqrt(len(values)) if several else 0.0
    return Summary(
        values=tuple(values),
        median=statistics.median(values),
        mean=mean,
        low=min(values),
        high=max(values),
        interval=(mean - half, mean + half) if several else None,
        method=METHOD_T if several else METHOD_NONE,
        variation=spread / mean if several and mean else None,
        outliers=tuple(n for n, score in enumerate(_scores(values)) if abs(score) > OUTLIER),
    )


def _scores(values: Sequence[float]) -> list[float]:
    """Modified Z-scores, on the median absolute deviation."""
    middle = statistics.median(values)
    deviation = statistics.median(abs(value - middle) for value in values)
    if deviation == 0:
        return [0.0] * len(values)
    return [0.6745 * (value - middle) / deviation for value in values]


def _quantile(count: int) -> float:
    from scipy.special import stdtrit  # scipy.stats would bring 30 MB along

    return float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2))
