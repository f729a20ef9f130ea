"""Cases resolved on this machine: what they need fetched, looked for, checked and planned."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.catalog import datasets, default_image
from harness.errors import MachineError
from harness.fetch import EveryTenSeconds, NoMirrorError, fetch_missing, writable_folder
from harness.model import Case, Device, PlannedCase
from harness.plan.cases import Resolved, plan
from harness.plan.data import DataFolders, locate
from harness.plan.runtime import Chosen, Need, choose_runtime, require_local
from harness.preflight import check_results_folder, space_needed, worries

Note = Callable[[str], None]


@dataclass(frozen=True)
class Means:
    """By what cases are to be measured on a machine.

    `results` is where attempts are written; `fallback` the dataset that stands in for one that
    cannot be had, `budget_s` how long ``quick`` may train a case, None to leave it to the workload;
    `images` is the user's own image catalog as text, for other machines.
    """

    runtime: str
    results: Path
    python: str | None = None
    data_dir: Path | None = None
    offline: bool = False
    fallback: str | None = None
    budget_s: float | None = None
    images: str | None = None


def resolve(
    cases: Sequence[Case],
    devices: Mapping[str, Device],
    means: Means,
    driver: str | None,
    note: Note,
) -> tuple[list[PlannedCase], Chosen]:
    """The cases as they can start here, and the runtime that starts them.

    `devices` by what a case asks for; `driver` is NVIDIA's, for what is told of it. `note` is told
    what takes long, such as an image that is built. Raises HarnessError; starts no case.
    """
    image_of = {case.id: image_for(case, devices[case.gpu]) for case in cases}
    needs = needs_of(cases, devices, image_of)
    python = means.python or sys.executable
    if means.runtime == "local":
        require_local(needs, python)  # before anything is fetched
    folders = DataFolders.of(means.data_dir)
    check_results_folder(means.results, space_needed(cases))
    wanted = list(dict.fromkeys(case.dataset for case in cases))
    if not means.offline:
        _fetch_missing(wanted, folders, means, note)
    data = {name: locate(name, folders, means.fallback) for name in wanted}
    for name, found in data.items():
        if found.stands_in:
            note(f"{name} is not on this machine: synthetic images stand in for it")
    on_processor = [case.model for case in cases if devices[case.gpu].kind == "cpu"]
    for_gpus = [image_of[case.id] for case in cases if devices[case.gpu].kind == "gpu"]
    for worry in worries(on_processor, for_gpus, driver):
        note(f"{worry.name}: {worry.what}; {worry.mend}")
    chosen = choose_runtime(means.runtime, needs, note, means.results.resolve(), python)
    resolved = Resolved(devices, data, image_of, chosen.images, means.budget_s)
    return plan(cases, resolved), chosen


def _fetch_missing(names: Sequence[str], folders: DataFolders, means: Means, note: Note) -> None:
    """Fetch what is not here. Raises MachineError unless other data may stand in."""
    known = datasets()
    missing = [name for name in names if known[name].files and folders.find(known[name]) is None]
    if not missing:
        return
    try:
        place = writable_folder(means.data_dir, folders.folders)
        fetch_missing(missing, place, note, EveryTenSeconds(note))
    except MachineError as error:
        if means.fallback is None:
            raise
        # Each mirror's answer has been told already.
        known_already = isinstance(error, NoMirrorError)
        note("the missing data could not be fetched" if known_already else error.message)


def image_for(case: Case, device: Device) -> str:
    """The catalog's name of the image that a case runs in on `device`."""
    return case.image or default_image(case.framework, _image_kind(device))


def _image_kind(device: Device) -> str:
    if device.kind != "gpu":
        return "cpu"
    return "rocm" if device.vendor == "amd" else "gpu"


def needs_of(
    cases: Sequence[Case], devices: Mapping[str, Device], image_of: Mapping[str, str]
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
