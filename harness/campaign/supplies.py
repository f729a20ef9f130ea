"""Images and datasets that a run would use: where each is, or what would be done to get it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.campaign.prepare import Request
from harness.catalog import datasets, images
from harness.errors import HarnessError, MachineError
from harness.images import ImageHere, find
from harness.matrix import Matrix
from harness.model import Case
from harness.plan import DataFolders, FoundData, locate
from harness.plan.runtime import Need, find_sif, require_local
from harness.runtimes.apptainer import find_program
from harness.runtimes.engines import engine_for


@dataclass(frozen=True)
class Supply:
    """An image or a dataset: where it is, or what would have to be done to get it.

    `download` is in bytes, None where its size is not known.
    """

    name: str
    state: str
    digest: str | None = None
    download: int | None = 0


FoundImages = tuple[dict[str, ImageHere], tuple[Supply, ...], str | None]
"""Images by catalog name, what each takes, and what keeps a run from all of them."""


def find_data(
    cases: Sequence[Case], matrix: Matrix, request: Request
) -> tuple[dict[str, FoundData], tuple[Supply, ...]]:
    """The data that a run would use; what it cannot have is left out."""
    folders = DataFolders.of(request.data_dir)
    found: dict[str, FoundData] = {}
    supplies = []
    for name in dict.fromkeys(case.dataset for case in cases):
        entry = datasets()[name]
        size = sum(file.bytes for file in entry.files.values())
        if entry.files and folders.find(entry) is None and not request.offline:
            found[name] = FoundData(entry, name, None)
            instead = ", or synthetic images instead" if matrix.dataset_fallback else ""
            supplies.append(Supply(name, f"to be fetched{instead}", download=size))
            continue
        try:
            found[name] = locate(name, folders, matrix.dataset_fallback)
        except MachineError as error:
            supplies.append(Supply(name, error.message))
            continue
        generated = "synthetic images stand in" if found[name].stands_in else "generated"
        supplies.append(Supply(name, "here" if found[name].folder else generated))
    return found, tuple(supplies)


def find_images(needs: Sequence[Need], request: Request) -> FoundImages:
    """The images in the runtime that was asked for; ``auto`` looks as a run does."""
    names = list(dict.fromkeys(need.image for need in needs))
    if request.runtime == "local":
        return _without_containers(needs, names, "", request.python or sys.executable)
    try:
        if request.runtime == "apptainer":
            return _in_files(names)
        return _in_engine(names, request.runtime)
    except HarnessError as error:
        if request.runtime != "auto":
            return {}, _unknown(names), error.message
        return _without_containers(needs, names, error.message)


def _in_engine(names: Sequence[str], runtime: str) -> FoundImages:
    engine = engine_for(runtime)
    here = {name: found for name in names if (found := find(engine, images()[name])) is not None}
    return here, tuple(_supply(name, here, buildable=True) for name in names), None


def _in_files(names: Sequence[str]) -> FoundImages:
    find_program()
    here = {name: found for name in names if (found := find_sif(images()[name])) is not None}
    supplies = tuple(_supply(name, here, buildable=False) for name in names)
    built = [name for name in names if name not in here and images()[name].build is not None]
    problem = f"apptainer can only pull, and {', '.join(built)} is built from a Dockerfile"
    return here, supplies, problem if built else None


def _supply(name: str, here: Mapping[str, ImageHere], buildable: bool) -> Supply:
    entry = images()[name]
    if name in here:
        return Supply(name, "here", here[name].identity.digest)
    if entry.build is None:
        return Supply(name, "to be pulled", entry.digest, entry.disk)
    state = "to be built" if buildable else f"not here: harness images build {name} makes it"
    return Supply(name, state, entry.digest, entry.disk)


def _without_containers(
    needs: Sequence[Need], names: Sequence[str], why: str, python: str = sys.executable
) -> FoundImages:
    """As a run has it: no image is needed, where the cases can run in a Python environment.

    `why` no engine is used, where one was looked for.
    """
    try:
        found = require_local(needs, python)
    except HarnessError as problem:
        told = f"{why}; and without a container: " if why else ""
        return {}, _unknown(names), told + problem.message
    where = "this environment" if found.own else found.path
    state = f"not needed: {why + '; ' if why else ''}the cases run in {where}"
    return {}, tuple(Supply(name, state) for name in names), None


def _unknown(names: Sequence[str]) -> tuple[Supply, ...]:
    return tuple(Supply(name, "not known", download=None) for name in names)
