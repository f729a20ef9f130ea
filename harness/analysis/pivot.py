"""Records as a table: cases in rows and columns by what they are, one figure a cell. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.model import Case, Record, Status

FIELDS = (
    "dataset",
    "model",
    "framework",
    "image",
    "batch_size",
    "precision",
    "jit",
    "deterministic",
    "weights",
    "protocol",
    "measure",
    "gpu",
    "overrides",
)
"""What can tell cases apart, in the order in which a row names it."""

TIMES = ("total_execution_s", "total_inference_s", "images_per_s")
MEMORY = (
    "peak_device_bytes",
    "peak_device_used_bytes",
    "peak_device_processes_bytes",
    "peak_host_bytes",
    "peak_cgroup_bytes",
    "peak_processes_bytes",
)
VALUES = (*TIMES, *MEMORY, "status", "resource")


@dataclass(frozen=True)
class Cell:
    """What is known of one case over its repeats. `value` is the median of those that completed.

    `completed` counts these, `failed` are the others' statuses; `pressure` of how many memory ran
    short; `resources` are what the others lacked. A case that was never measured has none of them.
    """

    value: float | None
    completed: int
    failed: tuple[Status, ...]
    synthetic: bool
    predicted: bool = False
    pressure: int = 0
    resources: tuple[str, ...] = ()

    @property
    def measured(self) -> bool:
        return self.completed > 0 or bool(self.failed)


@dataclass(frozen=True)
class Table:
    """`cells[row][column]`; None where no matrix has such a case."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]


@dataclass(frozen=True)
class Group:
    """Cases and records of one machine; `name` heads its rows, empty where there is no other."""

    name: str
    cases: tuple[Case, ...]
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Layout:
    """Which cases stand where, with their records; one layout serves tables of several values."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    places: dict[tuple[str, str], list[Record]]

    def table(self, value: str) -> Table:
        """`value` (one of VALUES) in every cell."""
        cells = {place: _cell(records, value) for place, records in self.places.items()}
        return Table(
            self.rows,
            self.columns,
            tuple(tuple(cells.get((row, top)) for top in self.columns) for row in self.rows),
        )


def lay_out(groups: Sequence[Group], rows: Sequence[str], columns: Sequence[str]) -> Layout:
    """Cases in rows and columns by their named fields (of FIELDS).

    Whatever else tells two cases apart is added to the rows: no cell holds two different cases.
    """
    everyone = [case for group in groups for case in group.cases]
    apart: list[str] = []
    for name in FIELDS:
        if _varies(everyone, name, (*rows, *columns, *apart)):
            apart.append(name)
    places: dict[tuple[str, str], list[Record]] = {}
    for group in groups:
        by_case: dict[str, list[Record]] = {}
        for record in group.records:
            by_case.setdefault(record.case_id, []).append(record)
        for case in group.cases:
            row = " ".join(part for part in (group.name, _label(case, [*rows, *apart])) if part)
            places[row, _label(case, columns)] = by_case.get(case.id, [])
    return Layout(
        tuple(dict.fromkeys(row for row, _ in places)),
        tuple(dict.fromkeys(column for _, column in places)),
        places,
    )


def _varies(cases: Sequence[Case], name: str, named: Sequence[str]) -> bool:
    """Whether `name` tells cases apart that are alike in what is named."""
    if name in named or len({_plain(getattr(case, name)) for case in cases}) < 2:
        return False
    seen: dict[tuple[object, ...], object] = {}
    for case in cases:
        mine = _plain(getattr(case, name))
        if seen.setdefault(tuple([_plain(getattr(case, n)) for n in named]), mine) != mine:
            return True
    return False


def _plain(value: object) -> object:
    """The overrides as text, which can be a key; anything else is one as it is."""
    return str(value) if isinstance(value, dict) else value


def _label(case: Case, names: Sequence[str]) -> str:
    """The first field's value, then the others with their names."""
    shown = [_word(getattr(case, name)) for name in names]
    others = [f"{name}={word}" for name, word in zip(names[1:], shown[1:], strict=True)]
    return " ".join([*shown[:1], *others])


def _word(value: object) -> str:
    return "default" if value is None else str(value)


def figure(record: Record, value: str) -> float | None:
    """A record's figure by its name; None where it has none, or one that is no number."""
    found: float | None = getattr(record.timing, value, None)
    found = found if found is not None else getattr(record.memory, value, None)
    return found if found is not None and math.isfinite(found) else None


def _cell(records: Iterable[Record], value: str) -> Cell:
    known = list(records)
    done: list[Record] = []
    failed: list[Record] = []
    for record in known:
        (done if record.status.completed else failed).append(record)
    values = [found for record in done if (found := figure(record, value)) is not None]
    return Cell(
        value=statistics.median(values) if values else None,
        completed=len(done),
        failed=tuple(record.status for record in failed),
        synthetic=any(record.dataset.synthetic for record in known),
        predicted=any(value in record.timing.predicted for record in done),
        pressure=sum(record.status is Status.PRESSURE for record in done),
        resources=tuple(dict.fromkeys(r.resource for r in known if r.resource is not None)),
    )
