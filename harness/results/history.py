"""How long cases took before: what a plan expects and a schedule sorts by."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.errors import InputError
from harness.model import Record
from harness.results.reading import Run, read_run
from harness.results.run import RUN_FILE

LATEST = 50
"""Runs that are looked through, the newest first."""

Expected = Mapping[tuple[str, str], float]
"""Seconds an attempt took in all, by case key and measure."""


def expected(results: Path, machine_hash: str) -> Expected:
    """The median over the completed attempts of the latest runs of this machine."""

    def here(run: Run, record: Record) -> bool:
        own = run.info.machine_hash == machine_hash
        return own and record.machine not in run.info.machines  # another's, for a run begun here

    return _medians(results, here)


def expected_anywhere(results: Path) -> Expected:
    """The same over all machines, of use where any of them may measure a case: for an order."""
    return _medians(results, lambda _run, _record: True)


def _medians(results: Path, counts: Callable[[Run, Record], bool]) -> Expected:
    taken: dict[tuple[str, str], list[float]] = {}
    for file in sorted(results.glob(f"*/{RUN_FILE}"), reverse=True)[:LATEST]:
        try:
            run = read_run(file.parent)
        except InputError:
            continue  # a damaged run is not this command's affair
        for record in run.records:
            seconds = record.wall_s
            if not record.status.completed or record.same_as is not None or seconds is None:
                continue
            if counts(run, record):
                taken.setdefault((record.case_key, record.case.measure), []).append(seconds)
    return {key: statistics.median(seconds) for key, seconds in taken.items()}
