"""How two sets of repeats relate: the ratio of their geometric means, with an interval. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.statistics import CONFIDENCE, quantile

ENOUGH_REPEATS = 3
"""On each side; with fewer there is a ratio, and no interval."""

METHOD = (
    "ratio of geometric means over the repeats, with the wider of Welch's and Student's "
    f"intervals ({CONFIDENCE:.0%}) on the logarithms"
)

_SAME = 1e-9
"""Relative: what arithmetic alone may make of equal values."""
_LARGEST = 700.0
"""The logarithm of what a float still holds."""


@dataclass(frozen=True)
class Ratio:
    """`value` is new over base; `interval` None where a side has too few repeats to tell."""

    value: float
    interval: tuple[float, float] | None

    @property
    def direction(self) -> int | None:
        """1 or -1 where the interval lies wholly above or below 1, else 0; None without one."""
        if self.interval is None:
            return None
        low, high = self.interval
        return int(low > 1 + _SAME) - int(high < 1 / (1 + _SAME))


def ratio(base: Sequence[float], new: Sequence[float]) -> Ratio:
    """New over base, from one positive figure a repeat. Raises ValueError where a side has none.

    Logarithms, because noise is relative and swapping the sides then inverts the result. Welch's
    interval, because one machine may be noisier than the other; Student's where that is wider,
    because Welch's is too narrow for few repeats against many. All repeats count: an outlier
    widens the interval rather than disappear. benchmarks/comparison_verdicts.py has the rates.
    """
    if not base or not new:
        raise ValueError("a ratio needs a figure on each side")
    logs = [[math.log(value) for value in side] for side in (base, new)]
    difference = statistics.fmean(logs[1]) - statistics.fmean(logs[0])
    if min(len(base), len(new)) < ENOUGH_REPEATS:
        return Ratio(_exp(difference), None)
    half = _half(*logs)
    return Ratio(_exp(difference), (_exp(difference - half), _exp(difference + half)))


def _half(base: Sequence[float], new: Sequence[float]) -> float:
    """Half of the wider interval around the difference of the means."""
    counts = [len(side) for side in (base, new)]
    variances = [statistics.variance(side) for side in (base, new)]
    errors = [variance / count for variance, count in zip(variances, counts, strict=True)]
    total = sum(errors)
    if total == 0:
        return 0.0
    shares = [error / total for error in errors]
    freedom = 1 / sum(share**2 / (count - 1) for share, count in zip(shares, counts, strict=True))
    together = sum(counts) - 2
    pooled = sum(v * (count - 1) for v, count in zip(variances, counts, strict=True)) / together
    return max(
        quantile(freedom) * math.sqrt(total),
        quantile(together) * math.sqrt(pooled * sum(1 / count for count in counts)),
    )


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive values, never none."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def _exp(value: float) -> float:
    return math.exp(max(-_LARGEST, min(_LARGEST, value)))
