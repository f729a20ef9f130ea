"""A run folder: run.json, the journal, and a folder for each attempt."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.errors import MachineError
from harness.host.fingerprint import Fingerprint
from harness.host.home import home_folder
from harness.model import SCHEMA_VERSION, Case, Frozen, Record
from harness.results.files import append_line, held, told_clearly, write_atomic
from harness.results.machines import KnownMachine

RUN_FILE = "run.json"
JOURNAL = "records.jsonl"
LOCK_FILE = "lock"

ERRAND_FILE = "errand.json"
"""In the folder of an attempt that another machine makes in that very folder."""

RECORD_FILE = "record.json"


class Invocation(Frozen):
    """One start of the harness on this run, and why it took the runtime it took.

    `executor` is what placed the attempts: inline is on the machine itself.
    `order_seed` is what a shuffled order came from; `interpreter` the Python that ran the cases
    where no image did, with its versions; `left_out` what of a container's isolation and limits
    the machine did not grant. `price_per_hour` (in `currency`) is what the machine was said to
    cost, `preparation_s` the seconds from the command's first look at the machine until the first
    case could begin (data, image, set-up); older runs lack them.
    """

    started_at: str
    finished_at: str | None = None
    executor: str = "inline"
    runtime: str
    runtime_reason: str
    interpreter: str | None = None
    left_out: tuple[str, ...] = ()
    harness_version: str
    python: str
    matrix_sha256: str | None = None
    order_seed: int | None = None
    price_per_hour: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    preparation_s: float | None = None


class RunInfo(Frozen):
    """What run.json holds. `cases` are all cells in the matrix's order, measured or not.

    `ingredients` are, by case id, what each case key was made from; older runs lack them.
    `machines` are, by label, those that measured for a run that began on another one.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    machine: str
    machine_hash: str | None = None
    fingerprint: Fingerprint
    matrix: str
    matrix_sha256: str
    cases: tuple[Case, ...]
    ingredients: dict[str, dict[str, Any]] = Field(default_factory=dict)
    invocations: tuple[Invocation, ...] = ()
    machines: dict[str, KnownMachine] = Field(default_factory=dict)


def now() -> str:
    """This moment in UTC, as records carry it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def impersonal(text: str) -> str:
    """`text` without the caller's home folder, for what is written into results."""
    try:
        home = str(home_folder())
    except MachineError:
        return text
    return text.replace(home, "~") if len(home) > 1 else text


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class RunFolder:
    """Where one run is written. Only the campaign appends to the journal."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, results: Path) -> RunFolder:
        """A new folder below `results`, where the last in order is the last that began.

        Raises MachineError where it cannot be written.
        """
        try:
            results.mkdir(parents=True, exist_ok=True)
            while True:
                moment = datetime.now(timezone.utc)
                fraction = moment.microsecond * 0x10000 // 1_000_000
                path = results / f"{moment:%Y%m%d-%H%M%S}-{fraction:04x}"
                with contextlib.suppress(FileExistsError):  # another began in the same moment
                    path.mkdir()
                    return cls(path.resolve())
        except OSError as error:
            raise MachineError(
                f"the results folder {results} cannot be written: {error.strerror}",
                "name another with --results",
            ) from error

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of a run that is there."""
        return cls(path.resolve())

    @property
    def run_id(self) -> str:
        return self.path.name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run: a second harness is refused, and a dead run is told from a live one.

        By its folder, which containers name, and by a file in it, since network file systems lock
        no folder for other machines.
        """
        busy = f"another harness is at work on {self.path}"
        with contextlib.ExitStack() as holding:
            holding.enter_context(held(self.path, busy))
            with contextlib.suppress(OSError):  # a full disk is told by what has to be written
                (self.path / LOCK_FILE).touch()
                holding.enter_context(held(self.path / LOCK_FILE, busy))
            yield

    def write_info(self, info: RunInfo) -> None:
        write_atomic(self.path / RUN_FILE, info.model_dump_json(indent=2) + "\n")

    def journal(self, record: Record) -> None:
        """Append one finished attempt; it is on the disk when this returns."""
        append_line(self.path / JOURNAL, record.model_dump_json())

    def next_attempt(self, case_id: str, repeat: int) -> tuple[int, Path]:
        """The number of the next attempt, from 1, and a new, empty folder for it.

        One that was begun and never finished keeps its number and its folder.
        """
        folder = self.path / "cases" / case_id / f"r{repeat}"
        with told_clearly(folder):
            begun = [int(path.name[1:]) for path in folder.glob("a*") if path.name[1:].isdigit()]
            attempt = max(begun, default=0) + 1
            path = folder / f"a{attempt}"
            path.mkdir(parents=True)
        return attempt, path


def is_alive(path: Path) -> bool:
    """Whether a harness holds the run folder `path` now; where nobody can tell, it may."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
