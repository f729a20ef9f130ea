"""How long cases took before, on this machine: what a plan expects and a schedule sorts by."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

from harness.errors import InputError
from harness.results.reading import read_run
from harness.results.run import RUN_FILE

LATEST = 50
"""Runs that are looked through, the newest first."""

Expected = Mapping[tuple[str, str], float]
"""Seconds an attempt took in all, by case key and measure."""


def expected(results: Path, machine_hash: str) -> Expected:
    """The median over the completed attempts of the latest runs of this machine."""
    taken: dict[tuple[str, str], list[float]] = {}
    for file in sorted(results.glob(f"*/{RUN_FILE}"), reverse=True)[:LATEST]:
        try:
            run = read_run(file.parent)
        except InputError:
            continue  # a damaged run is not this command's affair
        if run.info.machine_hash != machine_hash:
            continue
        for record in run.records:
            if record.machine in run.info.machines:
                continue  # another machine's, for a run that began here
            seconds = record.wall_s
            if record.status.completed and record.same_as is None and seconds is not None:
                taken.setdefault((record.case_key, record.case.measure), []).append(seconds)
    return {key: statistics.median(seconds) for key, seconds in taken.items()}
