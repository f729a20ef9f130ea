"""Where fetched files go: a folder that can be written, with room, and nobody else at work."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import MachineError
from harness.fetch.download import Wanted
from harness.units import human_bytes

MARGIN = 16 << 20
"""Bytes left free beside the files."""


def writable_folder(named: Path | None, folders: Sequence[Path]) -> Path:
    """`named` itself, else the first of `folders`; it can be written, or made. MachineError."""
    candidates = [named] if named is not None else list(folders)
    for folder in candidates:
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
            return folder
    raise MachineError(
        f"the data folder cannot be written: {', '.join(map(str, candidates))}",
        "name another with --data-dir",
    )


def make_folders(missing: Sequence[Wanted]) -> None:
    """Make each file's folder. MachineError where one cannot be made or written."""
    for parent in dict.fromkeys(item.path.parent for item in missing):
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(parent, error) from error
        if not os.access(parent, os.W_OK | os.X_OK):
            raise cannot_write(parent, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def check_room(missing: Sequence[Wanted], folder: Path, note: Callable[[str], None]) -> None:
    """Say how much is fetched; MachineError where the disk has no room for it."""
    total = sum(item.entry.bytes for item in missing)
    here = sum(min(item.part_bytes, item.entry.bytes) for item in missing)
    files = f"{len(missing)} file{'s' if len(missing) > 1 else ''}"
    before = f" ({human_bytes(here)} of it here from before)" if here else ""
    note(f"fetching {files}, {human_bytes(total)}{before}, into {folder}")
    free = shutil.disk_usage(folder).free
    if free < total - here + MARGIN:
        raise MachineError(
            f"{folder} has {human_bytes(free)} free; the datasets need "
            f"{human_bytes(total - here)} and {human_bytes(MARGIN)} to spare",
            "free some space, or name a folder on another disk with --data-dir",
        )


@contextmanager
def alone_in(folder: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Make `folder` and keep other processes from fetching into it meanwhile. MachineError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"another harness is fetching into {folder}: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # some network file systems lock no folder
            note(f"{folder} cannot be locked: fetch into it with one harness at a time")
        yield
    finally:
        os.close(handle)


def cannot_write(path: Path, error: OSError) -> MachineError:
    """What to say where this machine refuses to write `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "free some space, or name a folder on another disk with --data-dir"
    else:
        step = "name a folder that this user can write with --data-dir"
    return MachineError(f"{path} cannot be written: {error.strerror or error}", step)
