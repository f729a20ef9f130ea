"""Reading runs: by id, by folder, or the latest."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from harness.errors import InputError
from harness.model import (
    SCHEMA_VERSION,
    Case,
    DatasetIdentity,
    Device,
    Exit,
    Frozen,
    ImageIdentity,
    Memory,
    Record,
)
from harness.results.run import JOURNAL, RUN_FILE, RunInfo

_SHARED: dict[str, type[Frozen]] = {
    "case": Case,
    "image": ImageIdentity,
    "dataset": DatasetIdentity,
    "device": Device,
    "memory": Memory,
    "exit": Exit,
}
"""Parts that many records have alike. Kept once, they halve the memory that a journal takes."""


@dataclass(frozen=True)
class Run:
    """A run as it stands on disk, or a machine's part of it; see `standing`.

    `elsewhere` are the (case, repeat) whose standing record is another machine's.
    """

    path: Path
    info: RunInfo
    records: tuple[Record, ...]
    elsewhere: AbstractSet[tuple[str, int]] = frozenset()

    def standing(self) -> dict[tuple[str, int], Record]:
        """The record that counts of each (case, repeat): the last one.

        Of two measurements the later attempt, since the earlier may be journalled after it, where
        another machine ended it unnoticed.
        """
        found: dict[tuple[str, int], Record] = {}
        for record in self.records:
            which = record.case_id, record.repeat
            if which not in self.elsewhere and not _before(record, found.get(which)):
                found[which] = record
        return found

    def by_machine(self) -> list[Run]:
        """The run as runs of one machine each, since figures of several are compared, never mixed.

        Cases that no machine has measured yet stay with the first.
        """
        if not self.info.machines:
            return [self]
        standing = self.standing()
        labels = list(dict.fromkeys(record.machine for record in standing.values()))
        lost = dict.fromkeys(record.machine for record in self.records)
        labels += [name for name in lost if name in self.info.machines and name not in labels]
        unmeasured = {case.id for case in self.info.cases} - {name for name, _ in standing}
        return [
            self._of(label, standing, unmeasured if number == 0 else frozenset())
            for number, label in enumerate(labels or [self.info.machine])
        ]

    def _of(
        self, label: str, standing: Mapping[tuple[str, int], Record], more: AbstractSet[str]
    ) -> Run:
        """The part of one machine; `more` are ids of cases that it takes besides its own.

        Its attempts that another machine repeated are among its records: they took their time.
        """
        records = tuple(record for record in self.records if record.machine == label)
        others = {which for which, record in standing.items() if record.machine != label}
        mine = {case_id for case_id, repeat in standing if (case_id, repeat) not in others}
        ids = mine | more
        changes: dict[str, object] = {
            "machine": label,
            "cases": tuple(case for case in self.info.cases if case.id in ids),
        }
        known = self.info.machines.get(label)
        if known is not None:
            changes |= {"machine_hash": known.machine_hash, "fingerprint": known.fingerprint}
        info = self.info.model_copy(update=changes)
        return replace(self, info=info, records=records, elsewhere=frozenset(others))


def _before(record: Record, other: Record | None) -> bool:
    """Whether it is the earlier attempt of two measurements; copies bear their sources' numbers."""
    if other is None or record.same_as is not None or other.same_as is not None:
        return False
    return record.attempt < other.attempt


def find_run(name: str, results: Path) -> Path:
    """The folder of the run `name`: an id, a path, or ``latest``. Raises InputError."""
    runs = sorted(path.parent for path in results.glob(f"*/{RUN_FILE}"))
    if name == "latest":
        if not runs:
            raise InputError(f"there is no run in {results} yet", "start one: make bench")
        return runs[-1]
    for path in (results / name, Path(name)):
        if os.path.isfile(path / RUN_FILE):  # noqa: PTH113 - never raises
            return path
    there = (
        f"the last ones: {', '.join(path.name for path in runs[-3:])}" if runs else "it is empty"
    )
    raise InputError(f"there is no run {name!r} in {results}; {there}", "or name a run's folder")


def find_machine(name: str, results: Path) -> Run:
    """The run `name` of one machine; ``RUN@MACHINE`` where it measured on several.

    Raises InputError.
    """
    run, label = run_and_machine(name)
    found = read_run(find_run(run, results)).by_machine()
    chosen = of_machine(label, found)
    if len(chosen) == 1:
        return chosen[0]
    raise not_one(name, found)


def run_and_machine(name: str) -> tuple[str, str]:
    """What ``RUN@MACHINE`` names; the machine is empty where none is named."""
    run, _, label = name.rpartition("@")
    if not run or os.path.isfile(Path(name) / RUN_FILE):  # noqa: PTH113 - never raises
        return name, ""
    return run, label


def of_machine(label: str, parts: Sequence[Run]) -> list[Run]:
    """Those of a run's parts that `label` names; all where it is empty."""
    return [part for part in parts if label in ("", part.info.machine)]


def not_one(name: str, parts: Sequence[Run]) -> InputError:
    """That ``RUN@MACHINE`` is none, or more than one, of the run's parts."""
    run, label = run_and_machine(name)
    there = ", ".join(part.info.machine for part in parts)
    missing = f", not on {label}" if label else ""
    return InputError(
        f"the run {run} measured on {there}{missing}", f"name one: {run}@{parts[0].info.machine}"
    )


def read_run(path: Path) -> Run:
    """The run in the folder `path`. Raises InputError where it is damaged or too new."""
    info = _parse_info(path / RUN_FILE)
    return Run(path, info, tuple(_records(path / JOURNAL)))


def _parse_info(path: Path) -> RunInfo:
    try:
        text = path.read_text("utf-8")
        _check_version(text, path)
        return RunInfo.model_validate_json(text)
    except (OSError, ValidationError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {_first_line(error)}") from error


def _records(path: Path) -> list[Record]:
    if not path.exists():
        return []
    records: list[Record] = []
    known: dict[tuple[str, str], Frozen] = {}
    number, line = 0, b""
    try:
        with path.open("rb") as file, _paused_collection():
            for number, line in enumerate(file, 1):  # noqa: B007 - told in the errors below
                if line.endswith(b"\n"):  # what follows the last newline is a torn write
                    records.append(_record(line, known))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        _check_version(line.decode("utf-8", "replace"), path)
        raise InputError(f"{path}:{number} is no record: {_first_line(error)}") from error
    return records


def _record(line: bytes, known: dict[tuple[str, str], Frozen]) -> Record:
    """One line of the journal; equal parts are the same object. Raises ValidationError."""
    try:
        content = from_json(line)
        for name, kind in _SHARED.items():
            key = name, repr(content[name])
            if key not in known:
                known[key] = kind.model_validate(content[name])
            content[name] = known[key]
        return Record.model_validate(content)
    except (ValueError, TypeError, KeyError):
        return Record.model_validate_json(line)  # which says where in the line the fault is


@contextmanager
def _paused_collection() -> Iterator[None]:
    """Without Python's search for cycles, which would go over all records again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _check_version(text: str, path: Path) -> None:
    try:
        version = json.loads(text).get("schema_version")
    except (ValueError, AttributeError):
        return
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"{path} was written by a later harness (schema {version}; this one reads up to "
            f"{SCHEMA_VERSION})",
            "update the harness",
        )


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        found = error.errors()[0]
        return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"
    return str(error).splitlines()[0]
