"""The datasets: which slices of which files, their checksums, and where they are published."""

from __future__ import annotations

from functools import cache

from pydantic import Field

from harness.catalog.toml import shipped
from harness.model import Frozen


class Slice(Frozen):
    """`count` examples from `first` on; without files for generated data."""

    first: int
    count: int
    images: str | None = None
    labels: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(name for name in (self.images, self.labels) if name is not None)

    def cut(self, limit: int) -> Slice:
        """The first `limit` examples; 0 leaves the slice whole."""
        return self if not limit else self.model_copy(update={"count": min(limit, self.count)})


class FileEntry(Frozen):
    """A published file: its size in bytes and its checksums."""

    bytes: int
    md5: str
    sha256: str


class DatasetEntry(Frozen):
    """`folder` below the data folder; `seed` for generated data.

    A file's address on one of the `mirrors` is the mirror followed by the file's name.
    """

    about: str
    train: Slice
    test: Slice
    folder: str | None = None
    seed: int | None = None
    files: dict[str, FileEntry] = Field(default_factory=dict)
    mirrors: tuple[str, ...] = ()


@cache
def datasets() -> dict[str, DatasetEntry]:
    """Every dataset with the checksums of just the files that it reads."""
    data = shipped("datasets.toml")
    found = {}
    for name, entry in data["datasets"].items():
        bare = DatasetEntry(**entry)
        needed = dict.fromkeys(bare.train.files + bare.test.files)
        files = {file: FileEntry(**data["files"][bare.folder][file]) for file in needed}
        mirrors = tuple(data["mirrors"][bare.folder]) if files else ()
        found[name] = bare.model_copy(update={"files": files, "mirrors": mirrors})
    return found
