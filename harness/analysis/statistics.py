"""What the repeats of one case say together. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
OUTLIER = 3.5
"""Modified Z-score from which a value is an outlier (Iglewicz and Hoaglin, 1993)."""
NORMAL = 0.6745
"""The median absolute deviation of a normal distribution, in standard deviations."""
LEAST = 4
"""Values from which one can be told from the others: of three, two are often close by chance."""

METHOD = "95% by Student's t around the mean"
WITHIN_RUN = "within-run interval only"


@dataclass(frozen=True)
class Summary:
    """`values` in the order measured, all of them; `interval` is None where there is one alone.

    `variation` is the standard deviation over the mean; `outliers` are places in `values`;
    `slow_first` is the first value where it is an outlier above the others.
    """

    values: tuple[float, ...]
    median: float
    mean: float
    low: float
    high: float
    interval: tuple[float, float] | None
    method: str
    variation: float | None
    outliers: tuple[int, ...]
    slow_first: float | None


def summarise(values: Sequence[float]) -> Summary:
    """Raises ValueError where there is no value."""
    if not values:
        raise ValueError("no value to summarise")
    mean = statistics.fmean(values)
    several = len(values) > 1
    spread = statistics.stdev(values) if several else 0.0
    half = quantile(len(values) - 1) * spread / math.sqrt(len(values)) if several else 0.0
    return Summary(
        values=tuple(values),
        median=statistics.median(values),
        mean=mean,
        low=min(values),
        high=max(values),
        interval=(mean - half, mean + half) if several else None,
        method=METHOD if several else WITHIN_RUN,
        variation=spread / abs(mean) if several and mean else None,
        outliers=_outliers(values),
        slow_first=_slow_first(values),
    )


def scores(values: Sequence[float]) -> list[float]:
    """Modified Z-scores: distances from the median in units of the median absolute deviation.

    Where most values are equal, any other lies infinitely far from them.
    """
    middle = statistics.median(values)
    deviation = statistics.median(abs(value - middle) for value in values)
    distances = [value - middle for value in values]
    if deviation == 0:
        return [math.copysign(math.inf, d) if d else 0.0 for d in distances]
    return [NORMAL * distance / deviation for distance in distances]


def _outliers(values: Sequence[float]) -> tuple[int, ...]:
    if len(values) < LEAST:
        return ()
    return tuple(n for n, score in enumerate(scores(values)) if abs(score) > OUTLIER)


def _slow_first(values: Sequence[float]) -> float | None:
    if len(values) < LEAST:
        return None
    return values[0] if scores(values)[0] > OUTLIER else None


def quantile(freedom: float) -> float:
    """Student's t of a two-sided interval at CONFIDENCE, for so many degrees of freedom."""
    from scipy.special import stdtrit  # scipy.stats would bring 30 MB along

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))
