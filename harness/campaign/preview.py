"""What a run would do, told without doing any of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.campaign.prepare import Request
from harness.campaign.supplies import Supply, find_data, find_images
from harness.errors import HarnessError, MachineError
from harness.host import fingerprint
from harness.host.allowed import allowed
from harness.host.discreet import discreet_cases
from harness.host.gpus import Gpus, choose, find_gpus
from harness.matrix import Matrix, expand, select
from harness.model import Case, Device
from harness.plan import Resolved, image_for, needs_of, plan
from harness.preflight import free_bytes, space_needed, why_not_writable
from harness.results.history import Expected, expected


@dataclass(frozen=True)
class PlannedCell:
    """One case. `refused` says why a run would stop at it; `expected_s` is one repeat's."""

    case: Case
    key: str | None = None
    ingredients: Mapping[str, Any] = field(default_factory=dict)
    device: Device | None = None
    image: str | None = None
    same_as: str | None = None
    expected_s: float | None = None
    refused: str | None = None


@dataclass(frozen=True)
class Preview:
    """The whole plan. Sizes in bytes; `problems` are about the run as a whole."""

    cells: tuple[PlannedCell, ...]
    left_out: tuple[str, ...]
    images: tuple[Supply, ...]
    datasets: tuple[Supply, ...]
    repeats: int
    order: str
    disk_needed: int
    disk_free: int
    problems: tuple[str, ...]

    @property
    def refused(self) -> bool:
        return bool(self.problems) or any(cell.refused for cell in self.cells)

    @property
    def expected_s(self) -> float:
        """Seconds of all repeats of the cases whose duration is known."""
        known = [cell.expected_s for cell in self.cells if cell.expected_s and not cell.same_as]
        return self.repeats * sum(known)

    @property
    def unknown(self) -> int:
        """How many cases nobody has measured here before."""
        return sum(cell.expected_s is None and cell.same_as is None for cell in self.cells)


def preview(matrix: Matrix, request: Request) -> Preview:
    """What `prepare` and `run` would do. Raises InputError; fetches, builds and writes nothing."""
    gpus = find_gpus()
    cases = discreet_cases(request.selection.of(expand(matrix, request.gpus)), gpus)
    devices, missing = _devices(cases, allowed(gpus, os.environ))
    there = [case for case in cases if case.gpu in devices]
    kept, left_out = select(there, matrix, devices) if there else ([], [])
    data, supplies = find_data(kept, matrix, request)
    image_of = {case.id: image_for(case, devices[case.gpu]) for case in kept}
    here, image_supplies, problem = find_images(needs_of(kept, devices, image_of), request)
    before = _history(request.results, gpus)
    resolved = Resolved(devices, data, image_of, here)
    cells = [*_cells(kept, resolved, before), *missing]
    place = {case.id: number for number, case in enumerate(cases)}
    unwritable = why_not_writable(request.results)
    needed, free = space_needed(cases), free_bytes(request.results)
    problems = [
        *([problem] if problem else []),
        *([f"the results folder {request.results} {unwritable}"] if unwritable else []),
        *(["too little space for the largest case"] if free < needed else []),
    ]
    return Preview(
        cells=tuple(sorted(cells, key=lambda cell: place[cell.case.id])),
        left_out=tuple(case.id for case in left_out),
        images=image_supplies,
        datasets=supplies,
        repeats=matrix.repeats,
        order=matrix.order,
        disk_needed=needed,
        disk_free=free,
        problems=tuple(problems),
    )


def _devices(cases: Sequence[Case], gpus: Gpus) -> tuple[dict[str, Device], list[PlannedCell]]:
    """The device for each wish, and the cases whose GPU is not there."""
    devices: dict[str, Device] = {}
    refused: dict[str, str] = {}
    for wish in dict.fromkeys(case.gpu for case in cases):
        try:
            devices[wish] = choose(wish, gpus)
        except MachineError as error:
            refused[wish] = error.message
    missing = [PlannedCell(c, refused=refused[c.gpu]) for c in cases if c.gpu in refused]
    return devices, missing


def _history(results: Path, gpus: Gpus) -> Expected:
    nearest = results if results.is_dir() else Path()
    return expected(results, fingerprint.machine_hash(fingerprint.take(gpus, nearest), gpus))


def _cells(cases: Sequence[Case], resolved: Resolved, before: Expected) -> list[PlannedCell]:
    refused: dict[str, str] = {}
    for case in cases:
        if case.dataset not in resolved.data:
            refused[case.id] = f"the dataset {case.dataset} is missing"
            continue
        try:
            plan([case], resolved)
        except HarnessError as error:  # weights that are not here
            refused[case.id] = error.message
    cells = [
        PlannedCell(
            case=one.case,
            key=one.key,
            ingredients=one.ingredients,
            device=one.device,
            image=resolved.image_names[one.id],
            same_as=one.same_as,
            expected_s=before.get((one.key, one.case.measure)),
        )
        for one in plan([case for case in cases if case.id not in refused], resolved)
    ]
    return cells + [
        PlannedCell(case, device=resolved.devices[case.gpu], refused=refused[case.id])
        for case in cases
        if case.id in refused
    ]
