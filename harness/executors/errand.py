"""One attempt sent to another machine: what travels there, and what is done with it there."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from harness import __version__
from harness.catalog.images import adopt, images
from harness.errors import MachineError
from harness.events import Note, OnEvent, Stopped
from harness.executors.inline import Inline
from harness.host.allowed import allowed
from harness.host.gpus import choose, find_gpus
from harness.model import Case, Frozen, PlannedCase, Record
from harness.plan.cases import workload_digest
from harness.plan.here import Means, resolve
from harness.plan.machine import engine_of, this_machine
from harness.results.machines import KnownMachine, write_machine
from harness.runner import Place


class Errand(Frozen):
    """An attempt as JSON: the case, its place in the run, and by what it is to be measured.

    `workload` is the digest of the code that makes it the same benchmark there; `images` the
    sender's own image catalog; `on_gpu`: it was planned for a GPU, and the processor would be
    another measurement, as a GPU would be for one that was not.
    """

    run_id: str
    repeat: int
    attempt: int
    case: Case
    workload: str
    harness_version: str
    runtime: str
    python: str | None = None
    data_dir: str | None = None
    offline: bool = False
    fallback: str | None = None
    budget_s: float | None = None
    images: str | None = None
    on_gpu: bool = False
    labels: dict[str, str] = Field(default_factory=dict)


def errand(planned: PlannedCase, place: Place, means: Means) -> Errand:
    """The attempt at `place`, ready to travel."""
    return Errand(
        run_id=place.run_id,
        repeat=place.repeat,
        attempt=place.attempt,
        case=planned.case,
        workload=workload_digest(),
        harness_version=__version__,
        runtime=means.runtime,
        python=means.python,
        data_dir=str(means.data_dir) if means.data_dir is not None else None,
        offline=means.offline,
        fallback=means.fallback,
        budget_s=means.budget_s,
        images=means.images,
        on_gpu=planned.device.kind == "gpu",
        labels=dict(place.labels),
    )


def run_errand(errand: Errand, folder: Path, on_event: OnEvent, stopped: Stopped) -> Record:
    """Measure it on this machine, on a GPU that is left to this process, and record it in `folder`.

    Raises HarnessError where this machine cannot: nothing has been measured then.
    """
    if errand.workload != workload_digest():
        raise MachineError(
            f"the harness there ({__version__}) measures another benchmark than the one that sent "
            f"the case ({errand.harness_version}): their workloads differ",
            "install the same version on both",
        )
    if errand.images is not None:
        adopt(errand.images)
    if errand.case.image is not None and errand.case.image not in images():
        raise MachineError(
            f"the harness there ({__version__}) knows no image {errand.case.image}, which the one "
            f"that sent the case ({errand.harness_version}) does",
            "install the same version on both",
        )
    means = Means(
        runtime=errand.runtime,
        results=folder,
        python=errand.python,
        data_dir=Path(errand.data_dir) if errand.data_dir is not None else None,
        offline=errand.offline,
        fallback=errand.fallback,
        budget_s=errand.budget_s,
    )
    gpus = find_gpus()
    usable = allowed(gpus, os.environ)
    devices = {errand.case.gpu: choose(errand.case.gpu if errand.on_gpu else "cpu", usable)}
    if errand.on_gpu and devices[errand.case.gpu].kind != "gpu":
        raise MachineError(
            f"no GPU is left to the case there ({usable.problem or 'NVML sees none'})",
            "see there what nvidia-smi shows and what CUDA_VISIBLE_DEVICES says",
        )
    note = lambda text: on_event(Note(text))  # noqa: E731
    planned, chosen = resolve([errand.case], devices, means, gpus.driver, note)
    machine = this_machine(gpus, folder, engine_of(chosen.runtime))
    write_machine(
        folder,
        KnownMachine(
            label=machine.label, machine_hash=machine.known_by, fingerprint=machine.fingerprint
        ),
    )
    place = Place(
        run_id=errand.run_id,
        machine=machine.label,
        repeat=errand.repeat,
        attempt=errand.attempt,
        folder=folder,
        labels=errand.labels,
    )
    return Inline(chosen.runtime).attempt(planned[0], place, on_event, stopped)
