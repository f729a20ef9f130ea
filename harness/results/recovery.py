"""What a run that broke off left behind, put in order before it goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.model import Record
from harness.results.files import told_clearly
from harness.results.reading import read_run
from harness.results.run import JOURNAL, RECORD_FILE, RunFolder
from harness.workload import contract

TORN = "records.torn"


@dataclass(frozen=True)
class Recovered:
    """What was found: bytes cut off the journal, and attempts that it did not know."""

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
        with told_clearly(model):
            model.unlink()
    known = {(r.case_id, r.repeat, r.attempt) for r in read_run(folder.path).records}
    adopted = [
        record
        for record in _finished(folder.path)
        if (record.case_id, record.repeat, record.attempt) not in known
    ]
    for record in adopted:
        folder.journal(record)
    return Recovered(torn, tuple(adopted))


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


def _finished(path: Path) -> list[Record]:
    """Records that attempts left in their folders, oldest first; a damaged one is none."""
    found = []
    for file in path.glob(f"cases/*/r*/a*/{RECORD_FILE}"):
        try:
            found.append(Record.model_validate_json(file.read_bytes()))
        except (OSError, ValidationError):
            continue
    return sorted(found, key=lambda record: record.finished_at)
