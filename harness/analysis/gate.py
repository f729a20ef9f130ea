"""``--fail-if-slower``: whether a comparison may pass, and what was tested to say so. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.comparison import Compared, Comparison, Verdict


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
    more = comparison.more_is_faster
    failing = tuple(case for case in comparison.cases if case.now_fails)
    tested = tuple(case for case in comparison.cases if case.verdict.tested)
    slower = tuple(
        case
        for case in tested
        if case.verdict is Verdict.SLOWER and slowdown(case, more)[0] > 1 + limit
    )
    return Gate(
        limit,
        tested,
        slower,
        failing,
        tuple(c for c in tested if c not in slower and slowdown(c, more)[1] > 1 + limit),
        tuple(c for c in comparison.cases if not c.verdict.tested and c not in failing),
    )


def slowdown(case: Compared, more_is_faster: bool) -> tuple[float, float]:
    """How many times as long a tested case takes in NEW: likely, and at the interval's end."""
    assert case.ratio is not None
    assert case.ratio.interval is not None
    low, high = case.ratio.interval
    return (1 / case.ratio.value, 1 / low) if more_is_faster else (case.ratio.value, high)
