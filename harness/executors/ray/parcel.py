"""An attempt's folder as one file, packed where it was measured and unpacked where it belongs."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from harness.errors import InfraError
from harness.results.files import told_clearly, write_atomic
from harness.results.run import RECORD_FILE
from harness.workload import contract

MOST_OF_A_FILE = 64 << 20
MOST = 256 << 20
"""Bytes, unpacked: a log is bounded far below, and no result needs more."""
MOST_FILES = 1000
ROOM = MOST_FILES * (4 << 10) + (1 << 20)
"""Bytes beside the files' own: what tells of each, and what fills up."""
PIECE = 1 << 20
TOO_LARGE = "it is larger than an attempt's folder can be"


def pack(folder: Path, file: IO[bytes]) -> list[str]:
    """Write the regular files in `folder` to `file`; the names of what is too large to travel."""
    left_out, total = [], 0
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as parcel:
        for path, name in _files(folder):
            size = path.stat().st_size
            if size > MOST_OF_A_FILE or total + size > MOST:
                left_out.append(f"{name} ({size} bytes)")
                continue
            total += size
            parcel.add(path, arcname=name, recursive=False)
    return left_out


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name != contract.MODEL_FILE:
            yield path, path.relative_to(folder).as_posix()


def unpack(file: IO[bytes], folder: Path) -> None:
    """Put a parcel's files into `folder`, its record last, for it says that all is there.

    Nothing but regular files within the folder is taken, and nothing of a damaged parcel. Raises
    InfraError for a parcel that is damaged, too large or holds anything else, and MachineError
    where the disk refuses.
    """
    record: str | None = None
    try:
        _check(file)
        with tarfile.open(fileobj=file, mode="r:gz") as parcel:
            for name, content in _members(parcel):
                if name == RECORD_FILE:
                    record = content.read().decode("utf-8")
                else:
                    _write(folder / name, content)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise InfraError(f"what came back cannot be read: {error}", transient=True) from error
    if record is None:
        raise InfraError(f"what came back has no {RECORD_FILE}")
    write_atomic(folder / RECORD_FILE, record)


def _check(file: IO[bytes]) -> None:
    """Read it to its end, where its checksum is: what reads the files stops before. Raises."""
    start, total = file.tell(), 0
    with gzip.GzipFile(fileobj=file, mode="rb") as stream:
        while piece := stream.read(PIECE):
            total += len(piece)
            if total > MOST + ROOM:
                raise ValueError(TOO_LARGE)
    file.seek(start)


def _members(parcel: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    total = 0
    for number, member in enumerate(parcel):
        total += member.size
        if total > MOST or number >= MOST_FILES:
            raise ValueError(TOO_LARGE)
        path = PurePosixPath(member.name)
        content = parcel.extractfile(member) if member.isreg() else None
        if content is None or path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"{member.name!r} is no file of an attempt's")
        yield str(path), content


def _write(path: Path, content: IO[bytes]) -> None:
    data = content.read()
    with told_clearly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never through a link that stands there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o644), "wb") as file:
            file.write(data)
