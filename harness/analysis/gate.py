"""``--fail-if-slower``: whether a comparison may pass, and what was tested to say so. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.comparison import Compared, Comparison, Verdict
from harness.analysis.ratio import Ratio


@dataclass(frozen=True)
class Gate:
    """`limit` is a fraction: 0.05 lets a case take up to 1.05 times as long.

    `slower` are the cases over it, `failing` those that completed in BASE and do not in NEW,
    `open` those without a verdict against them whose interval reaches beyond it, `untested` those
    without any verdict.
    """

    limit: float
    tested: tuple[Compared, ...]
    slower: tuple[Compared, ...]
    failing: tuple[Compared, ...]
    open: tuple[Compared, ...]
    untested: tuple[Compared, ...]

    @property
    def passed(self) -> bool:
        return not self.slower and not self.failing

    @property
    def vacuous(self) -> bool:
        """Whether nothing could have failed it."""
        return self.passed and not self.tested


def gate(comparison: Comparison, limit: float) -> Gate:
    """Over the limit is a case whose verdict is slower *and* whose ratio itself is beyond it."""
    failing = tuple(case for case in comparison.cases if case.now_fails)
    tested = tuple(case for case in comparison.cases if case.verdict.tested)
    slows = {
        case.id: slowdown(case.ratio, comparison.more_is_faster) for case in tested if case.ratio
    }
    slower = tuple(
        case for case in tested if case.verdict is Verdict.SLOWER and slows[case.id][0] > 1 + limit
    )
    return Gate(
        limit,
        tested,
        slower,
        failing,
        tuple(c for c in tested if c not in slower and slows[c.id][1] > 1 + limit),
        tuple(c for c in comparison.cases if not c.verdict.tested and c not in failing),
    )


def slowdown(found: Ratio, more_is_faster: bool) -> tuple[float, float]:
    """How many times as long it takes in NEW: likely, and at the interval's end, which it has."""
    assert found.interval is not None
    low, high = found.interval
    return (1 / found.value, 1 / low) if more_is_faster else (found.value, high)
