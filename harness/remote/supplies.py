"""Datasets that are here, for a machine that may not have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.catalog import datasets
from harness.matrix import Matrix, Selection, expand
from harness.plan import DataFolders


@dataclass(frozen=True)
class Supply:
    """A published file: `name` below any data folder, where it is here, and its bytes."""

    name: str
    path: Path
    size: int


def here(
    matrix: Matrix, gpus: Sequence[str], selection: Selection, data_dir: Path | None
) -> list[Supply]:
    """The files of the chosen cases' datasets, as far as whole datasets are on this machine.

    Raises InputError for a selection that leaves no case.
    """
    folders = DataFolders.of(data_dir)
    wanted = dict.fromkeys(case.dataset for case in selection.of(expand(matrix, tuple(gpus))))
    found: dict[str, Supply] = {}
    for name in wanted:
        entry = datasets()[name]
        folder = folders.find(entry)
        if folder is None:
            continue  # generated data, or the machine fetches it
        for file, about in entry.files.items():
            supply = Supply(f"{entry.folder}/{file}", folder / file, about.bytes)
            found[supply.name] = supply
    return list(found.values())
