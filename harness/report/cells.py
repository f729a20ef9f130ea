"""A cell of a table in words: the same wherever it is shown."""

from __future__ import annotations

from harness.analysis.pivot import Cell
from harness.report.baselines import PREDICTED, SYNTHETIC
from harness.units import human_bytes

NO_CASE, NOT_RUN, NO_FIGURE = "", "not run", "none given"


def shown(cell: Cell | None, value: str) -> str:
    """The figure `value` with its marks, or how the case ended; never a failure as a number."""
    if cell is None:
        return NO_CASE
    if not cell.measured:
        return NOT_RUN
    failed = ", ".join(dict.fromkeys(status.value for status in cell.failed))
    mark = SYNTHETIC if cell.synthetic else ""
    if value == "resource":
        return ", ".join(cell.resources) + (mark if cell.resources else "")
    if value == "status":
        held = ("pressure" if cell.pressure else "ok") if cell.completed else ""
        return ", ".join(word for word in (held, failed) if word) + mark
    if cell.completed == 0:
        return failed + mark
    number = NO_FIGURE if cell.value is None else _number(cell.value, value)
    about = PREDICTED if cell.predicted else ""
    return f"{about}{number}{mark}" + (f" ({len(cell.failed)} x {failed})" if failed else "")


def _number(figure: float, value: str) -> str:
    return human_bytes(int(figure)) if value.endswith("_bytes") else f"{figure:.1f}"
