"""What the repeats say together, as the section before the details."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.analysis.pivot import Group
from harness.analysis.statistics import METHOD, Summary
from harness.analysis.warnings import summaries
from harness.report.baselines import PREDICTED, SYNTHETIC

VALUE = "total_execution_s"
HEADERS = ["case", "repeats", "median", "mean", "95% interval", "min", "max", "variation"]
APART = ["outliers", "first repeat"]

Grid = Callable[..., str]


def repeats(groups: Sequence[Group], grid: Grid, heading: str) -> list[str]:
    """The section as parts to be joined by newlines; none where no case has several repeats."""
    if not any(summaries(group.records, VALUE, 2) for group in groups):
        return []
    return [
        "",
        heading.format("Repeats: total execution time in seconds"),
        grid([row for group in groups for row in _rows(group)], headers=[*HEADERS, *APART]),
        "",
        f"interval: {METHOD}; outliers by modified Z-score on the median absolute deviation",
    ]


def _rows(group: Group) -> list[list[str]]:
    predicted = {r.case_id for r in group.records if VALUE in r.timing.predicted}
    synthetic = {r.case_id for r in group.records if r.dataset.synthetic}
    return [
        _row(
            f"{group.name} {case_id}".strip(),
            found,
            PREDICTED if case_id in predicted else "",
            SYNTHETIC if case_id in synthetic else "",
        )
        for case_id, found in summaries(group.records, VALUE).items()
    ]


def _row(at: str, found: Summary, about: str, mark: str) -> list[str]:
    """One case; of a single repeat there is nothing to say but what its interval is."""

    def shown(value: float) -> str:
        return f"{about}{value:.2f}{mark}"

    figures = [at, str(len(found.values)), shown(found.median), shown(found.mean)]
    if found.interval is None:
        return [*figures, found.method, shown(found.low), shown(found.high), "", "", ""]
    low, high = found.interval
    return [
        *figures,
        f"{low:.2f} to {high:.2f}",
        shown(found.low),
        shown(found.high),
        "" if found.variation is None else f"{found.variation:.1%}",
        ", ".join(f"{found.values[n]:.2f}" for n in found.outliers) or "none",
        "as the others" if found.slow_first is None else f"slow: {found.slow_first:.2f}",
    ]
