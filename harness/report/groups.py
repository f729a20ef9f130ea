"""Runs as groups of one machine each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.analysis.pivot import Group
from harness.matrix import Selection
from harness.results.reading import Run


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """The standing records of the runs; those of one machine label together, named where several.

    Of two runs of one machine the repeats are counted on, so that none hides another.
    """
    by_machine: dict[str, list[Run]] = {}
    for run in runs:
        by_machine.setdefault(run.info.machine, []).append(run)
    several = len(by_machine) > 1
    return [_group(machine if several else "", same) for machine, same in by_machine.items()]


def _group(name: str, runs: Sequence[Run]) -> Group:
    cases = {case.id: case for run in runs for case in run.info.cases}
    records = tuple(record for run in runs for record in run.standing().values())
    return Group(name, tuple(cases.values()), records)


def selected(run: Run, selection: Selection) -> Run:
    """The part of a run that `selection` takes. Raises InputError where that is nothing."""
    if selection == Selection():
        return run
    cases = tuple(selection.of(run.info.cases))
    ids = {case.id for case in cases}
    records = tuple(record for record in run.records if record.case_id in ids)
    info = run.info.model_copy(update={"cases": cases})
    return replace(run, info=info, records=records)
