"""Published machines beside this one, as the section that follows the study's tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.analysis.baselines import (
    EXECUTION,
    INFERENCE,
    Comparison,
    compare,
    differences,
    not_compared,
)
from harness.catalog import baselines
from harness.model import Record
from harness.units import human_bytes

SYNTHETIC = "*"
PREDICTED = "≈"

Grid = Callable[..., str]

TITLE = "Published machines beside this one (published, not identical)"
DIRECTION = (
    "published / here: 2.00x means that this machine is twice as fast as the published one, "
    "0.50x half as fast"
)
METRICS = {
    EXECUTION: "Total execution time in seconds",
    INFERENCE: "Total inference time in seconds",
}
HEADERS = ["published machine", "model", "dataset", "protocol", "published", "here"]
RATIO = "published / here"


def published(records: Sequence[Record], grid: Grid, heading: str) -> list[str]:
    """The section as parts to be joined by newlines; none where nothing can be compared.

    `heading` is a format for one title. Raises nothing: a case without an equal is said to be one.
    """
    there = list(baselines().values())
    parts, everything = [], []
    for metric, title in METRICS.items():
        found = compare(records, there, metric)
        if found:
            parts += ["", title, "", _table(found, grid)]
            everything += found
    if not everything:
        return []
    notes = [f"differs: {sentence}" for sentence in differences(everything)]
    notes += [f"not compared: {reason}" for reason in not_compared(records, there)]
    notes.append(f"source: {'; '.join(dict.fromkeys(c.baseline.source for c in everything))}")
    return ["", heading.format(TITLE), DIRECTION, *parts, "", *(f"- {note}" for note in notes)]


def _table(found: Sequence[Comparison], grid: Grid) -> str:
    """One row a comparison; the case is named where model, dataset and protocol do not tell it."""
    cases = {c.case.id: (c.case.model, c.case.dataset, c.case.protocol) for c in found}
    named = len(set(cases.values())) < len(cases)
    rows = [[*_row(c), *([c.case.id] if named else [])] for c in found]
    return grid(rows, headers=[*HEADERS, RATIO, *(["case here"] if named else [])])


def _row(found: Comparison) -> list[str]:
    case = found.case
    about = PREDICTED if found.predicted else ""
    mark = SYNTHETIC if found.synthetic else ""
    ratio = "" if found.ratio is None else f"{about}{shown_ratio(found.ratio)}{mark}"
    return [
        found.baseline.machine,
        case.model,
        case.dataset,
        case.protocol,
        _published(found),
        f"{about}{found.here:.1f}{mark}",
        ratio,
    ]


def _published(found: Comparison) -> str:
    if found.published is not None:
        return f"{found.published:.10g}"
    asked = found.figure.largest_request
    return found.figure.status.value + (f" ({human_bytes(asked)} asked)" if asked else "")


def shown_ratio(ratio: float) -> str:
    """Three significant digits, all of the whole ones: ``0.0512x``, ``2.00x``, ``1234x``."""
    return f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:#.3g}x"
