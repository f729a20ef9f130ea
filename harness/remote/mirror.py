"""What a run elsewhere has finished, kept here attempt by attempt while it goes on.

A rented machine may vanish. Until the whole run takes its place, the folder here is a run of its
own: it reads like one that broke off behind the last attempt that arrived.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import MachineError
from harness.remote.bringing import safe_path
from harness.results.files import append_line, told_clearly
from harness.results.run import JOURNAL


class Mirror:
    """The part of one job's run that is here. `name` is its folder's below `results`, if any."""

    def __init__(self, results: Path, job: str, name: str | None) -> None:
        self.name = name
        self._results = results
        self._job = job

    @property
    def folder(self) -> Path | None:
        """The run's folder; None where no attempt has arrived."""
        if self.name is None:
            return None
        path = self._results / self.name
        return path if path.is_dir() else None

    @property
    def journal_bytes(self) -> int:
        """So much of the journal is here, byte by byte as it is there."""
        folder = self.folder
        journal = folder / JOURNAL if folder is not None else None
        return journal.stat().st_size if journal is not None and journal.is_file() else 0

    def reserve(self, told: Mapping[str, Any]) -> str:
        """The name that the folder for `told` has here from now on; nothing is made yet.

        That of the run there, unless another run has it here. Raises MachineError.
        """
        if self.name is None:
            run = _path(told).parts[0]
            self.name = run if not (self._results / run).exists() else f"{run}-{self._job}"
        return self.name

    def take(self, told: Mapping[str, Any]) -> None:
        """A file of a finished attempt, or the journal's line that ends it.

        Raises MachineError where this disk refuses it, or where it is neither.
        """
        path, folder = _path(told), self._results / self.reserve(told)
        try:
            if "line" in told:
                (line,) = told["line"].rstrip("\n").split("\n")
                with told_clearly(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                append_line(folder / JOURNAL, line)
                return
            data = base64.b64decode(told["data"], validate=True)
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise MachineError(f"what the other machine sent is no file: {error}") from error
        target = folder.joinpath(*path.parts[1:])
        with told_clearly(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(target.name + ".tmp")
            temporary.write_bytes(data)
            temporary.replace(target)


def _path(told: Mapping[str, Any]) -> PurePosixPath:
    """A file's path, the run's name first. Raises MachineError for any other."""
    name = told.get("path")
    path = safe_path(name) if isinstance(name, str) else None
    if path is None or len(path.parts) < 2:
        raise MachineError(f"the other machine sent a file that is none of a run: {name!r}")
    return path
