"""The study's table from records: one cell for each dataset and model."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.model import Case, Record, Status

_TOLD_APART_BY = ("framework", "image", "batch_size", "precision", "jit", "weights", "protocol")
_ALSO = ("measure", "gpu", "overrides")


@dataclass(frozen=True)
class Cell:
    """What is known of one case over its repeats. `value` is the median of those that completed."""

    value: float | None
    completed: int
    failed: tuple[Status, ...]
    synthetic: bool
    predicted: bool = False

    @property
    def measured(self) -> bool:
        return self.completed > 0 or bool(self.failed)


@dataclass(frozen=True)
class Table:
    """`cells[row][column]`; None where the matrix has no such case."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]


def study_table(cases: Sequence[Case], records: Iterable[Record], value: str) -> Table:
    """Rows are datasets (and whatever else tells cases apart), columns are models.

    `value` names a field of the records' timing.
    """
    by_case: dict[str, list[Record]] = {}
    for record in records:
        by_case.setdefault(record.case_id, []).append(record)
    apart = [name for name in (*_TOLD_APART_BY, *_ALSO) if _varies(cases, name)]
    cells: dict[tuple[str, str], Cell] = {}
    for case in cases:
        cells[_row(case, apart), case.model] = _cell(by_case.get(case.id, []), value)
    rows = tuple(dict.fromkeys(row for row, _ in cells))
    columns = tuple(dict.fromkeys(column for _, column in cells))
    return Table(
        rows, columns, tuple(tuple(cells.get((row, column)) for column in columns) for row in rows)
    )


def _varies(cases: Sequence[Case], name: str) -> bool:
    """Whether `name` tells cases of the same dataset and model apart."""
    seen: dict[tuple[str, str], object] = {}
    return any(
        seen.setdefault((case.dataset, case.model), getattr(case, name)) != getattr(case, name)
        for case in cases
    )


def _row(case: Case, apart: Iterable[str]) -> str:
    return " ".join([case.dataset, *(f"{name}={getattr(case, name)}" for name in apart)])


def _cell(records: Sequence[Record], value: str) -> Cell:
    done = [record for record in records if record.status.completed]
    values = [found for r in done if (found := getattr(r.timing, value)) is not None]
    return Cell(
        value=statistics.median(values) if values else None,
        completed=len(done),
        failed=tuple(record.status for record in records if not record.status.completed),
        synthetic=any(record.dataset.synthetic for record in records),
        predicted=any(value in record.timing.predicted for record in done),
    )
