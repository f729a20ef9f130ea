"""Writing so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import InputError, MachineError


@contextmanager
def told_clearly(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into a MachineError that names `path`."""
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"{path} cannot be written: {error.strerror or error}",
            "free some space or mend the disk; what was measured before is kept",
        ) from error


def write_atomic(path: Path, text: str) -> None:
    """Write to a temporary name, flush to the disk, rename into place. Raises MachineError."""
    temporary = path.with_name(path.name + ".tmp")
    with told_clearly(path):
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def append_line(path: Path, line: str) -> None:
    """Append one line and flush it to the disk. Raises MachineError."""
    with told_clearly(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def _opened(path: Path) -> int:
    """For writing where it can be: network file systems lock a file for its writers alone."""
    with contextlib.suppress(OSError):  # a folder, or a file that may only be read
        return os.open(path, os.O_RDWR)
    return os.open(path, os.O_RDONLY)


@contextmanager
def held(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock on a file or folder; raises InputError(`busy`) where another process does.

    Some network file systems have no locks: there nothing is held, and the work goes on.
    """
    handle = _opened(path)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(busy) from error
        except OSError:
            pass
        yield
    finally:
        os.close(handle)
