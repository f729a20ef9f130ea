"""What this machine knows of a job elsewhere, so that `harness attach` can take it up again."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import ValidationError

from harness.errors import InputError, MachineError
from harness.model import Frozen
from harness.results.files import held, told_clearly, write_atomic

STATE_FILE = "job.json"

PREPARING, RUNNING = "preparing", "running"


class JobState(Frozen):
    """One job: `folder` and `python` are paths there, `results` is a folder here.

    `stage` is how far this machine knows it has come; `run` is the name below `results` of what has
    arrived of its run.
    """

    job: str
    address: str
    label: str
    folder: str
    python: str
    results: str
    matrix: str
    started_at: str
    harness_version: str
    keep: bool = False
    stage: str = PREPARING
    notes: tuple[str, ...] = ()
    run: str | None = None


def new_job_id() -> str:
    """Eight random hexadecimal digits."""
    return secrets.token_hex(4)


def jobs_folder() -> Path:
    """Where the states are, in the user's own folder for such. Raises MachineError without home."""
    import platformdirs

    try:
        folder = Path(platformdirs.user_state_dir("harness"))
    except RuntimeError as error:
        raise MachineError("this user has no home folder", "export HOME=/tmp") from error
    return folder / "jobs"


def save(state: JobState) -> None:
    """Whole or not at all. Raises MachineError."""
    folder = jobs_folder() / state.job
    with told_clearly(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(folder / STATE_FILE, state.model_dump_json(indent=1) + "\n")


def forget(state: JobState) -> None:
    """The job is done with."""
    shutil.rmtree(jobs_folder() / state.job, ignore_errors=True)


def is_open(state: JobState) -> bool:
    """Whether the job is not done with."""
    return (jobs_folder() / state.job / STATE_FILE).is_file()


@contextmanager
def followed(state: JobState) -> Iterator[None]:
    """Hold the job: another terminal is refused meanwhile. Raises InputError."""
    done = InputError(f"the job {state.job} is done with", "harness attach --list")
    with ExitStack() as stack:
        try:
            busy = f"another harness follows the job {state.job}"
            stack.enter_context(held(jobs_folder() / state.job, busy))
        except FileNotFoundError as error:
            raise done from error
        if not is_open(state):  # ended by another one, between the look and the lock
            raise done
        yield


def open_jobs() -> list[JobState]:
    """The jobs that are not done with, oldest first."""
    found = []
    for path in jobs_folder().glob(f"*/{STATE_FILE}"):
        try:
            found.append(JobState.model_validate_json(path.read_text("utf-8")))
        except (OSError, ValidationError):
            continue  # written by another version, or by nobody
    return sorted(found, key=lambda state: (state.started_at, state.job))


def find_job(name: str) -> JobState:
    """The open job of that id. Raises InputError."""
    there = open_jobs()
    for state in there:
        if state.job == name:
            return state
    told = ", ".join(f"{state.job} ({state.label})" for state in there) or "there is none"
    raise InputError(f"there is no open job {name!r}", f"open jobs: {told}")
