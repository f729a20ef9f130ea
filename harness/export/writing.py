"""Exported files written: never over one that is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.errors import InputError


def write_file(path: Path, text: str) -> None:
    """Raises InputError where something is there, or it cannot be written."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as error:
        raise InputError(f"{path} exists", "name another file, or remove it first") from error
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def write_folder(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """The files in `folder`, which is made where it is missing. Raises InputError.

    Looks at all of them first: either every file is written, or none.
    """
    paths = {folder / name: text for name, text in files.items()}
    there = next((path for path in paths if path.exists()), None)
    if there is not None:
        raise InputError(f"{there} exists", "name another folder, or remove it first")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}") from error
    for path, text in paths.items():
        write_file(path, text)
    return list(paths)
