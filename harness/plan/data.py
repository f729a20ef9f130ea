"""Datasets on this machine: found and verified, or replaced where the matrix allows it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.catalog import DatasetEntry, FileEntry, Protocol, Slice, WeightsFile, datasets
from harness.errors import MachineError
from harness.host.home import cache_folder, home_folder
from harness.model import DatasetIdentity
from harness.units import human_bytes

DATA_SETTING = "HARNESS_DATA_DIR"
WEIGHTS_SETTING = "HARNESS_WEIGHTS_DIR"
GENERATOR = 1
"""Version of the synthetic images: a changed generator is another benchmark."""


@dataclass(frozen=True)
class DataFolders:
    """Where datasets are looked for, first match wins."""

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, option: Path | None) -> DataFolders:
        """`--data-dir`, then HARNESS_DATA_DIR, then the user's cache."""
        named = [option] if option is not None else []
        setting = os.environ.get(DATA_SETTING)
        if setting:
            named.append(Path(setting))
        named.append(cache_folder() / "data")
        return cls(tuple(named))

    def find(self, entry: DatasetEntry) -> Path | None:
        """The folder that holds all of the dataset's files, absolute."""
        for folder in self.folders:
            path = (folder / (entry.folder or "")).resolve()
            if entry.files and all(is_file(path / name) for name in entry.files):
                return path
        return None


@dataclass(frozen=True)
class FoundData:
    """A dataset ready to be mounted; `folder` is None for generated data."""

    entry: DatasetEntry
    name: str
    folder: Path | None
    stands_in: bool = False


def locate(name: str, folders: DataFolders, fallback: str | None) -> FoundData:
    """The dataset `name`, verified. Raises MachineError where it is missing or damaged."""
    entry = datasets()[name]
    if entry.folder is None:
        return FoundData(entry, name, None)
    folder = folders.find(entry)
    if folder is not None:
        for file, expected in entry.files.items():
            verify_file(folder / file, expected)
        return FoundData(entry, name, folder)
    if fallback is not None:
        return standing_in(entry, fallback)
    looked = ", ".join(str(path / entry.folder) for path in folders.folders)
    files = ", ".join(entry.files)
    raise MachineError(
        f"the dataset {name} is not on this machine (looked in {looked} for {files})",
        f"harness data fetch {name}, name a folder that holds it with --data-dir, "
        "or allow dataset_fallback: synthetic",
    )


def standing_in(entry: DatasetEntry, fallback: str) -> FoundData:
    """What a machine without the dataset measures on; generated data stands as it is."""
    if entry.folder is None:
        return FoundData(entry, fallback, None)
    return FoundData(_synthetic_like(entry), fallback, None, stands_in=True)


def is_file(path: Path) -> bool:
    """Whether this user can see a file there; unlike `Path.is_file`, without raising."""
    return os.path.isfile(path)  # noqa: PTH113


def _synthetic_like(entry: DatasetEntry) -> DatasetEntry:
    """Generated data with the counts of `entry`, so that the work is the same."""
    synthetic = datasets()["synthetic"]
    return synthetic.model_copy(
        update={
            "train": Slice(first=0, count=entry.train.count),
            "test": Slice(first=0, count=entry.test.count),
        }
    )


def verify_file(path: Path, expected: FileEntry) -> None:
    """Raise MachineError where the file is not the published one, saying how it differs."""
    step = "harness data fetch replaces it; nothing was measured with it"
    try:
        size = path.stat().st_size
        if size != expected.bytes:
            how = "truncated" if size < expected.bytes else "too long"
            raise MachineError(
                f"{path} is {how}: {size} bytes, where the published file has {expected.bytes} "
                f"({human_bytes(expected.bytes)})",
                step,
            )
        found = file_digest(path, "sha256")
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror}") from error
    if found != expected.sha256:
        raise MachineError(
            f"{path} is damaged: its SHA-256 is {found[:16]}…, expected {expected.sha256[:16]}…",
            step,
        )


def file_digest(path: Path, algorithm: str) -> str:
    """The hex digest of a file, read in pieces."""
    total = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()


def slices(entry: DatasetEntry, protocol: Protocol) -> tuple[Slice, Slice]:
    """What the protocol trains and tests on."""
    return entry.train.cut(protocol.train_images), entry.test.cut(protocol.test_images)


def identity(found: FoundData, train: Slice, test: Slice) -> DatasetIdentity:
    """Name and content: equal content has an equal SHA-256 whatever name it stands in for."""
    content: dict[str, Any] = {
        "files": {name: file.sha256 for name, file in found.entry.files.items()},
        "generator": None if found.entry.seed is None else [GENERATOR, found.entry.seed],
        "train": train.model_dump(),
        "test": test.model_dump(),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return DatasetIdentity(name=found.name, synthetic=found.entry.seed is not None, sha256=digest)


def locate_weights(needed: Mapping[str, WeightsFile]) -> Path:
    """The folder with ImageNet's weight files, each verified. Raises MachineError."""
    folder = Path(os.environ.get(WEIGHTS_SETTING) or home_folder() / ".keras" / "models")
    for name, wanted in needed.items():
        path = folder / wanted.file
        if not is_file(path):
            raise MachineError(
                f"the ImageNet weights of {name} are not in {folder} ({wanted.file})",
                f"put the file there, name its folder in {WEIGHTS_SETTING}, or use weights: random",
            )
        try:
            found = file_digest(path, "md5")
        except OSError as error:
            raise MachineError(f"{path} cannot be read: {error.strerror}") from error
        if found != wanted.md5:
            raise MachineError(f"{path} is not the file that Keras publishes", "fetch it again")
    return folder.resolve()
