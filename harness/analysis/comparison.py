"""Two runs beside each other, case by case: the ratio, the verdict, and what is not alike. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from harness.analysis.pairing import nearest, pair, shared_id
from harness.analysis.ratio import ENOUGH_REPEATS, Ratio, geometric_mean, ratio
from harness.analysis.sameness import BASE, NEW, Likeness, Sameness, likeness
from harness.model import Case, Record, as_expected
from harness.results.reading import Run
from harness.results.run import RunInfo

VALUES = {"total_execution_s": False, "total_inference_s": False, "images_per_s": True}
"""The fields of a record's timing that can be compared, and whether more of it is faster."""

NOT_RUN = "not run"
SLOW_FIRST = 1.05
"""A first repeat this many times the median of the others, and slower than each, is pointed out."""


class Verdict(str, Enum):
    """What can be said of a case. The first three need 3 repeats on each side."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference shown"
    TOO_FEW = "too few repeats"
    ONE_PREDICTED = "predicted on one side only"
    NO_FIGURE = "no figure"
    NOT_COMPLETED = "not completed"
    NOT_COMPARABLE = "not comparable"
    ONLY_BASE = f"only in {BASE}"
    ONLY_NEW = f"only in {NEW}"

    @property
    def tested(self) -> bool:
        """Whether repeats were held against each other."""
        return self in (Verdict.FASTER, Verdict.SLOWER, Verdict.NO_DIFFERENCE)


@dataclass(frozen=True)
class Side:
    """What one run knows of one case; `records` are its standing ones, in the order of repeats."""

    case: Case
    records: tuple[Record, ...]
    value: str

    @property
    def completed(self) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.status.completed)

    @property
    def figures(self) -> tuple[float, ...]:
        """One for each repeat that completed and has one."""
        found = [getattr(record.timing, self.value) for record in self.completed]
        return tuple(value for value in found if value and value > 0 and math.isfinite(value))

    @property
    def mean(self) -> float | None:
        """The geometric mean of the figures."""
        return geometric_mean(self.figures) if self.figures else None

    @property
    def endings(self) -> tuple[str, ...]:
        """Statuses of the repeats that did not complete."""
        if not self.records:
            return (NOT_RUN,)
        return tuple(r.status.value for r in self.records if not r.status.completed)

    @property
    def failed(self) -> bool:
        """Whether a repeat is missing that the matrix did not expect to end that way."""
        return not self.records or any(
            not r.status.completed and not as_expected(r.case, r.status) for r in self.records
        )

    @property
    def predicted(self) -> bool:
        return any(self.value in record.timing.predicted for record in self.completed)

    @property
    def synthetic(self) -> bool:
        return any(record.dataset.synthetic for record in self.records)


@dataclass(frozen=True)
class Compared:
    """One case of both runs, or of one where the other side is None."""

    id: str
    base: Side | None
    new: Side | None
    verdict: Verdict
    ratio: Ratio | None = None
    likeness: Likeness | None = None
    notes: tuple[str, ...] = ()

    @property
    def now_fails(self) -> bool:
        """Whether it is the same benchmark, completed in BASE, and does not in NEW."""
        if self.base is None or self.new is None or self.verdict is Verdict.NOT_COMPARABLE:
            return False
        whole = len(self.base.completed) == len(self.base.records) > 0
        return self.new.failed and (whole or bool(self.base.completed and not self.new.completed))


@dataclass(frozen=True)
class Comparison:
    """`cases` in the order of BASE, then those that only NEW has."""

    base: RunInfo
    new: RunInfo
    value: str
    cases: tuple[Compared, ...]

    @property
    def more_is_faster(self) -> bool:
        return VALUES[self.value]


def compare(
    base: Run, new: Run, value: str, takes: Callable[[Case], bool] | None = None
) -> Comparison:
    """Every case, or those that `takes` wants; `value` is one of VALUES."""
    here, there = (_sides(run, value, takes) for run in (base, new))
    bases, news = ([side.case for side in sides.values()] for sides in (here, there))
    paired = pair(bases, news)
    cases = [
        _both(shared_id(a, b), here[a.id], there[b.id], base.info, new.info)
        for a, b in paired.pairs
    ]
    for case in paired.only_base:
        near = _near(case, NEW, news)
        cases.append(Compared(case.id, here[case.id], None, Verdict.ONLY_BASE, notes=near))
    for case in paired.only_new:
        near = _near(case, BASE, bases)
        cases.append(Compared(case.id, None, there[case.id], Verdict.ONLY_NEW, notes=near))
    return Comparison(base.info, new.info, value, tuple(cases))


def _near(case: Case, other: str, others: Sequence[Case]) -> tuple[str, ...]:
    near = nearest(case, others)
    return (f"the nearest in {other} has {near}",) if near else ()


def _sides(run: Run, value: str, takes: Callable[[Case], bool] | None) -> dict[str, Side]:
    """By case id: the cells of the matrix, and what was measured beyond them."""
    standing = [record for _, record in sorted(run.standing().items())]
    cases = {case.id: case for case in (*run.info.cases, *(record.case for record in standing))}
    return {
        name: Side(case, tuple(r for r in standing if r.case_id == name), value)
        for name, case in cases.items()
        if takes is None or takes(case)
    }


def _both(name: str, base: Side, new: Side, of_base: RunInfo, of_new: RunInfo) -> Compared:
    alike = None
    if base.records and new.records:
        alike = likeness(
            base.records,
            new.records,
            of_base.ingredients.get(base.case.id, {}),
            of_new.ingredients.get(new.case.id, {}),
        )
    found = None
    comparable = alike is not None and alike.sameness is not Sameness.NOT_COMPARABLE
    if comparable and base.figures and new.figures:
        found = ratio(base.figures, new.figures)
    verdict = _verdict(base, new, alike, found)
    return Compared(name, base, new, verdict, found, alike, _notes(base, new))


def _verdict(base: Side, new: Side, alike: Likeness | None, found: Ratio | None) -> Verdict:
    if alike is not None and alike.sameness is Sameness.NOT_COMPARABLE:
        return Verdict.NOT_COMPARABLE
    if not base.completed or not new.completed:
        return Verdict.NOT_COMPLETED
    if found is None:
        return Verdict.NO_FIGURE
    if base.predicted != new.predicted:
        return Verdict.ONE_PREDICTED
    return judge(found, VALUES[base.value])


def judge(found: Ratio, more_is_faster: bool) -> Verdict:
    """By whether the interval of new over base excludes 1, and on which side."""
    if found.direction is None:
        return Verdict.TOO_FEW
    if found.direction == 0:
        return Verdict.NO_DIFFERENCE
    return Verdict.FASTER if (found.direction > 0) == more_is_faster else Verdict.SLOWER


def _notes(base: Side, new: Side) -> tuple[str, ...]:
    """What a reader of the ratio should know beside it."""
    notes = [
        f"{name}: {getattr(base.case, name) or 'default'} in {BASE}, "
        f"{getattr(new.case, name) or 'default'} in {NEW}"
        for name in ("image", "measure")
        if getattr(base.case, name) != getattr(new.case, name)
    ]
    for name, side in ((BASE, base), (NEW, new)):
        missing = len(side.completed) - len(side.figures)
        if missing:
            notes.append(f"{missing} of {len(side.completed)} repeats in {name} have no figure")
        if slow := _slow_first(side):
            notes.append(
                f"the first repeat in {name} took {slow:.2f} times the median of the others; "
                "it is counted"
            )
    return tuple(notes)


def _slow_first(side: Side) -> float | None:
    """How many times the others' median the first repeat took, where that stands out."""
    figures: Sequence[float] = side.figures
    if len(figures) < ENOUGH_REPEATS or side.completed[0].repeat != 1:
        return None
    if VALUES[side.value]:
        figures = [1 / figure for figure in figures]
    first, *others = figures
    times = first / statistics.median(others)
    return times if times > SLOW_FIRST and first > max(others) else None
