"""Runs as groups of one machine each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.analysis.fit import PURPOSE, purpose_of
from harness.analysis.pivot import Group
from harness.matrix import Selection
from harness.model import Case, Record
from harness.results.reading import Run


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """The standing records of the runs; those of one machine together, named where several.

    Of two runs of one machine the repeats are counted on, so that none hides another. Two machines
    that bear the same label are told apart by the beginning of their hashes.
    """
    by_machine: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        machine = run.info.machine, run.info.machine_hash or ""
        by_machine.setdefault(machine, []).append(run)
    labels = Counter(label for label, _ in by_machine)
    return [
        _group(_name(label, known, labels) if len(by_machine) > 1 else "", same)
        for (label, known), same in by_machine.items()
    ]


def _name(label: str, known: str, labels: Counter[str]) -> str:
    return label if labels[label] == 1 else f"{label} ({known[:6] or 'unknown'})"


def _group(name: str, runs: Sequence[Run]) -> Group:
    cases = {case.id: case for run in runs for case in run.info.cases}
    records: list[Record] = []
    before: dict[str, int] = {}
    for run in runs:
        mine = [_counted_on(r, before.get(r.case_id, 0)) for r in run.standing().values()]
        for record in mine:
            before[record.case_id] = max(before.get(record.case_id, 0), record.repeat)
        records += mine
    return Group(name, tuple(cases.values()), tuple(records))


def _counted_on(record: Record, before: int) -> Record:
    return record.model_copy(update={"repeat": before + record.repeat}) if before else record


def measured(runs: Sequence[Run]) -> list[Run]:
    """The runs without the probes of ``harness fit``, which measured nothing that compares."""
    return [_only(run, lambda case: purpose_of(case) != PURPOSE) for run in runs]


def selected(runs: Sequence[Run], selection: Selection) -> list[Run]:
    """The part of the runs that `selection` takes. Raises InputError where that is nothing."""
    if selection == Selection():
        return list(runs)
    selection.of([case for run in runs for case in run.info.cases])
    parts = [_only(run, selection.takes) for run in runs]
    return [part for part in parts if part.info.cases]


def _only(run: Run, takes: Callable[[Case], bool]) -> Run:
    cases = tuple(case for case in run.info.cases if takes(case))
    ids = {case.id for case in cases}
    records = tuple(record for record in run.records if record.case_id in ids)
    return replace(run, info=run.info.model_copy(update={"cases": cases}), records=records)
