"""The machines of a run that measured on several, each told by the attempts that it made."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from harness.host.fingerprint import Fingerprint
from harness.model import Frozen, Record
from harness.results.files import write_atomic

MACHINE_FILE = "machine.json"


class KnownMachine(Frozen):
    """A machine by its label, the salted hash it is recognised by, and what it is."""

    label: str
    machine_hash: str
    fingerprint: Fingerprint


def write_machine(attempt: Path, machine: KnownMachine) -> None:
    """Leave in an attempt's folder what machine it is made on. Raises MachineError."""
    write_atomic(attempt / MACHINE_FILE, machine.model_dump_json() + "\n")


def machine_of(run: Path, record: Record) -> KnownMachine | None:
    """The machine that made an attempt of the run; None where its folder does not tell."""
    folder = run / "cases" / record.case_id / f"r{record.repeat}" / f"a{record.attempt}"
    try:
        return KnownMachine.model_validate_json((folder / MACHINE_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
