"""Writing so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import MachineError


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
