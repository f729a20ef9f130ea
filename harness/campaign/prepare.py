"""Everything that can fail before the first case, done before the first case."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.analysis.cost import Price
from harness.campaign.machine import engine_of, this_machine
from harness.catalog import datasets, default_image
from harness.errors import MachineError
from harness.fetch import EveryTenSeconds, NoMirrorError, fetch_missing, writable_folder
from harness.host.allowed import allowed
from harness.host.discreet import discreet_cases, discreet_text
from harness.host.fingerprint import Fingerprint
from harness.host.gpus import Gpus, choose, find_gpus
from harness.matrix import Matrix, Selection, expand, select
from harness.model import Case, Device, PlannedCase
from harness.plan import (
    Chosen,
    DataFolders,
    Resolved,
    choose_runtime,
    locate,
    plan,
    share_out,
)
from harness.plan.runtime import Need, require_local
from harness.preflight import check_results_folder, space_needed, worries


@dataclass(frozen=True)
class Request:
    """What the command line says of this machine."""

    gpus: tuple[str, ...] = ("auto",)
    runtime: str = "auto"
    python: str | None = None
    data_dir: Path | None = None
    results: Path = Path("results")
    machine: str | None = None
    budget_s: float | None = None
    offline: bool = False
    selection: Selection = field(default_factory=Selection)
    parallel: bool = False
    price: Price | None = None


@dataclass(frozen=True)
class Prepared:
    """A run that can start. `text` is the matrix as it was written.

    `since` is when getting ready began, on the monotonic clock.
    """

    matrix: Matrix
    text: str
    cases: tuple[Case, ...]
    planned: tuple[PlannedCase, ...]
    chosen: Chosen
    fingerprint: Fingerprint
    machine: str
    machine_hash: str
    results: Path
    price: Price | None = None
    since: float | None = None


def prepare(matrix: Matrix, text: str, request: Request, note: Callable[[str], None]) -> Prepared:
    """Resolve and check everything. Raises HarnessError; starts nothing and writes no result.

    `note` is told what takes long, such as an image that is built, and what was decided.
    """
    since = time.monotonic()
    asked = request.selection.of(expand(matrix, request.gpus))
    gpus = find_gpus()
    usable = allowed(gpus, os.environ)
    cases = discreet_cases(asked, gpus)
    devices = {wish: choose(wish, usable) for wish in dict.fromkeys(case.gpu for case in cases)}
    if request.gpus != ("auto",) and not {case.gpu for case in asked} <= set(request.gpus):
        note("the matrix names its GPUs itself: --gpu is not used for those cases")
    for wish, device in devices.items():
        note(f"measuring {device.name or 'the processor'}" + _why(wish, device, usable))
    cases, left_out = select(cases, matrix, devices)
    if left_out:
        names = ", ".join(case.id for case in left_out)
        note(f"left out, for a GPU only (gpu_only in the matrix): {names}")
    image_of = {case.id: image_for(case, devices[case.gpu]) for case in cases}
    needs = needs_of(cases, devices, image_of)
    python = request.python or sys.executable
    if request.runtime == "local":
        require_local(needs, python)  # before anything is fetched
    folders = DataFolders.of(request.data_dir)
    check_results_folder(request.results, space_needed(cases))
    wanted = list(dict.fromkeys(case.dataset for case in cases))
    if not request.offline:
        _fetch_missing(wanted, folders, matrix, request, note)
    data = {name: locate(name, folders, matrix.dataset_fallback) for name in wanted}
    for name, found in data.items():
        if found.stands_in:
            note(f"{name} is not on this machine: synthetic images stand in for it")
    on_processor = [case.model for case in cases if devices[case.gpu].kind == "cpu"]
    for_gpus = [image_of[case.id] for case in cases if devices[case.gpu].kind == "gpu"]
    for worry in worries(on_processor, for_gpus, gpus.driver):
        note(f"{worry.name}: {worry.what}; {worry.mend}")
    chosen = choose_runtime(request.runtime, needs, note, request.results.resolve(), python)
    note(f"runtime {chosen.runtime.name}: {chosen.reason}")
    budget_s = matrix.budget if request.budget_s is None else request.budget_s
    planned = plan(cases, Resolved(devices, data, image_of, chosen.images, budget_s))
    if request.parallel:
        planned = share_out(planned, usable)
    machine = this_machine(gpus, request.results, engine_of(chosen.runtime), request.machine)
    return Prepared(
        matrix=matrix,
        text=discreet_text(text, gpus),
        cases=tuple(cases),
        planned=tuple(planned),
        chosen=chosen,
        fingerprint=machine.fingerprint,
        machine=machine.label,
        machine_hash=machine.known_by,
        results=request.results,
        price=request.price,
        since=since,
    )


def _fetch_missing(
    names: Sequence[str],
    folders: DataFolders,
    matrix: Matrix,
    request: Request,
    note: Callable[[str], None],
) -> None:
    """Fetch what is not here. Raises MachineError unless synthetic data may stand in."""
    known = datasets()
    missing = [name for name in names if known[name].files and folders.find(known[name]) is None]
    if not missing:
        return
    try:
        place = writable_folder(request.data_dir, folders.folders)
        fetch_missing(missing, place, note, EveryTenSeconds(note))
    except MachineError as error:
        if matrix.dataset_fallback is None:
            raise
        # Each mirror's answer has been told already.
        known_already = isinstance(error, NoMirrorError)
        note("the missing data could not be fetched" if known_already else error.message)


def _why(wish: str, device: Device, gpus: Gpus) -> str:
    if wish == "auto" and device.kind == "cpu":
        return f": no GPU ({gpus.problem or 'NVML sees none'})"
    return f" ({gpus.problem})" if gpus.problem and device.kind == "gpu" else ""


def image_for(case: Case, device: Device) -> str:
    """The catalog's name of the image that a case runs in on `device`."""
    return case.image or default_image(case.framework, _image_kind(device))


def _image_kind(device: Device) -> str:
    if device.kind != "gpu":
        return "cpu"
    return "rocm" if device.vendor == "amd" else "gpu"


def needs_of(
    cases: Sequence[Case], devices: dict[str, Device], image_of: dict[str, str]
) -> list[Need]:
    """What the cases ask of a runtime, each thing once."""
    needs = [
        Need(
            framework=case.framework,
            image=image_of[case.id],
            device=devices[case.gpu],
            asked_for_image=case.image is not None,
            memory_limit=case.overrides.get("memory_limit"),
        )
        for case in cases
    ]
    return list(dict.fromkeys(needs))
