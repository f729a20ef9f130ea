"""What the probes of ``harness fit`` found: a line for each case that was asked about."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.fit import PURPOSE, but_for_the_batch, largest_batch
from harness.analysis.pivot import Group
from harness.model import Case, Record
from harness.units import human_bytes

TITLE = "What fits"

_SIZES = ("device_memory", "memory_limit")
"""Overrides that hold a case to so many bytes."""


def section(groups: Sequence[Group], heading: str) -> list[str]:
    """The section as parts to be joined by newlines; none where nothing was probed."""
    lines = [line for group in groups for line in _lines(group)]
    return [heading.format(TITLE), *lines, ""] if lines else []


def _lines(group: Group) -> list[str]:
    searches: dict[str, tuple[Case, list[Record]]] = {}
    for record in group.records:
        if record.purpose == PURPOSE:
            case = but_for_the_batch(record.case)
            searches.setdefault(case.model_dump_json(), (case, []))[1].append(record)
    machine = f"{group.name} " if group.name else ""
    return [
        f"- {machine}{_told(case)}: {largest_batch(probes)} ({len(probes)} probes)"
        for case, probes in searches.values()
    ]


def _told(case: Case) -> str:
    parts = [case.model, case.dataset, case.framework, case.protocol, case.precision]
    parts += [name for name in ("jit", "deterministic") if getattr(case, name)]
    parts += [
        f"{name}={human_bytes(case.overrides[name])}" for name in _SIZES if name in case.overrides
    ]
    parts += [f"{name}={value}" for name, value in case.overrides.get("env", {}).items()]
    return " ".join(parts)
