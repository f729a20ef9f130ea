"""Data that is here, for a machine that may not have it: datasets, pretrained weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.catalog import datasets
from harness.errors import MachineError
from harness.matrix import Matrix, Selection, expand
from harness.model import Case
from harness.plan import DataFolders
from harness.plan.cases import weights_of
from harness.plan.data import locate_weights

DATA, WEIGHTS = "data", "weights"
"""Folders of a job."""


@dataclass(frozen=True)
class Supply:
    """A published file: `name` below the job's folder, where it is here, and its bytes."""

    name: str
    path: Path
    size: int


def here(
    matrix: Matrix, gpus: Sequence[str], selection: Selection, data_dir: Path | None
) -> list[Supply]:
    """The files of the chosen cases' datasets and weights, as far as all of each are here.

    Raises InputError for a selection that leaves no case.
    """
    cases = selection.of(expand(matrix, tuple(gpus)))
    return [*_datasets(cases, DataFolders.of(data_dir)), *_weights(cases)]


def _datasets(cases: Sequence[Case], folders: DataFolders) -> list[Supply]:
    found: dict[str, Supply] = {}
    for name in dict.fromkeys(case.dataset for case in cases):
        entry = datasets()[name]
        folder = folders.find(entry)
        if folder is None:
            continue  # generated data, or the machine fetches it
        for file, about in entry.files.items():
            supply = Supply(f"{DATA}/{entry.folder}/{file}", folder / file, about.bytes)
            found[supply.name] = supply
    return list(found.values())


def _weights(cases: Sequence[Case]) -> list[Supply]:
    needed = {name: file for case in cases for name, file in weights_of(case).items()}
    if not needed:
        return []
    try:
        folder = locate_weights(needed)
    except MachineError:
        return []  # the machine has them, or says what it lacks
    paths = [folder / file.file for file in needed.values()]
    return [Supply(f"{WEIGHTS}/{path.name}", path, path.stat().st_size) for path in paths]
