"""What a run that broke off left behind, put in order before it goes on."""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from harness.model import Record
from harness.results.files import told_clearly
from harness.results.reading import Run, read_run
from harness.results.run import ERRAND_FILE, JOURNAL, RECORD_FILE, RunFolder
from harness.workload import contract

TORN = "records.torn"


@dataclass(frozen=True)
class Recovered:
    """The run as it stands now, and what was mended: bytes cut off, attempts taken up."""

    run: Run
    torn_bytes: int
    adopted: tuple[Record, ...]

    def notes(self) -> list[str]:
        found = []
        if self.torn_bytes:
            found.append(f"a torn line of {self.torn_bytes} bytes was cut off into {TORN}")
        if self.adopted:
            names = ", ".join(f"{r.case_id} #{r.repeat}" for r in self.adopted)
            found.append(f"finished, but not in the journal, taken up now: {names}")
        return found


def recover(folder: RunFolder) -> Recovered:
    """Cut off a torn line, journal what finished unnoticed, remove models that were left.

    Call it with the run folder locked. Raises MachineError where it cannot be written and
    InputError where its journal is damaged otherwise.
    """
    torn = _cut_off_torn_line(folder.path)
    for model in folder.path.glob(f"cases/*/r*/a*/{contract.MODEL_FILE}"):
        if not _may_go_on(model.parent):
            with told_clearly(model):
                model.unlink()
    run = read_run(folder.path)
    known = {(record.case_id, record.repeat, record.attempt) for record in run.records}
    adopted = tuple(_finished(folder.path, known))
    for record in adopted:
        folder.journal(record)
    return Recovered(replace(run, records=run.records + adopted), torn, adopted)


def _may_go_on(attempt: Path) -> bool:
    """Whether another machine may be at it yet, which this one's death does not end."""
    return (attempt / ERRAND_FILE).exists() and not (attempt / RECORD_FILE).exists()


def _cut_off_torn_line(path: Path) -> int:
    """Bytes after the last whole line, moved to records.torn."""
    journal = path / JOURNAL
    with told_clearly(journal):
        if not journal.exists():
            return 0
        text = journal.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole == len(text):
            return 0
        with (path / TORN).open("ab") as kept:
            kept.write(text[whole:] + b"\n")
            kept.flush()
            os.fsync(kept.fileno())
        with journal.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
        return len(text) - whole


def _finished(path: Path, known: Container[tuple[str, int, int]]) -> list[Record]:
    """Records of unknown attempts in their folders, oldest first; a damaged one is none."""
    found = []
    for file in path.glob(f"cases/*/r*/a*/{RECORD_FILE}"):
        case_id, repeat, attempt = (part.name for part in reversed(file.parents[:3]))
        if (case_id, _number(repeat), _number(attempt)) in known:
            continue
        try:
            found.append(Record.model_validate_json(file.read_bytes()))
        except (OSError, ValidationError):
            continue
    return sorted(found, key=lambda record: record.finished_at)


def _number(name: str) -> int:
    """3 of ``r3`` or ``a3``; -1 for what is no such name."""
    return int(name[1:]) if name[1:].isdecimal() else -1
