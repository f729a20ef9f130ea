"""An attempt's folder as the cluster's task and the campaign both see it."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from harness import __version__
from harness.errors import HarnessError, InputError, MachineError
from harness.events import OnEvent, Stopped
from harness.executors.errand import Errand, run_errand
from harness.model import Frozen, Record, Status
from harness.results.files import held, write_atomic
from harness.results.run import ERRAND_FILE, RECORD_FILE, impersonal, now

BEGUN_FILE = "task.json"
REFUSED_FILE = "refused.json"

TAIL_BYTES = 4000
TAIL_CHARACTERS = 300


class Begun(Frozen):
    """That the harness started there: the task, its node, and what it is started with."""

    task: str
    node: str
    python: str
    harness_version: str
    began_at: str


class Refused(Frozen):
    """What kept a node from measuring: an error of the harness there."""

    node: str
    message: str
    next_step: str


def do_attempt(
    folder: Path, environment: Mapping[str, str], on_event: OnEvent, stopped: Stopped
) -> Record | None:
    """Do the errand in `folder`; None where it has its record already.

    Raises HarnessError where it cannot be done here: `refused.json` says so, too.
    """
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder} on {socket.gethostname()}",
            "put the results on a file system that all nodes share",
        )
    if (folder / RECORD_FILE).exists():
        return None
    task, node = task_of(environment), environment.get("SLURMD_NODENAME") or socket.gethostname()
    begun = Begun(
        task=task,
        node=node,
        python=impersonal(f"{platform.python_version()} {sys.executable}"),
        harness_version=__version__,
        began_at=now(),
    )
    with held(folder, f"{folder} is being measured already"):
        write_atomic(folder / BEGUN_FILE, begun.model_dump_json() + "\n")
        return _done(folder, node, on_event, stopped)


def _done(folder: Path, node: str, on_event: OnEvent, stopped: Stopped) -> Record:
    try:
        errand = _errand(folder)
        # Whoever looks for what dead runs left sees by this that we live, whatever the driver does.
        labels = {**errand.labels, "harness.folder": str(folder)}
        errand = errand.model_copy(update={"labels": labels})
        record = run_errand(errand, folder, on_event, stopped)
    except HarnessError as error:
        refused = Refused(node=node, message=error.message, next_step=error.next_step)
        write_atomic(folder / REFUSED_FILE, refused.model_dump_json() + "\n")
        raise
    if record.status is not Status.FAILED or not stopped():
        return record
    # Slurm tells all processes of a task at once: the case may be gone before it is ended here.
    changes = {"status": Status.INTERRUPTED, "reason": "stopped together with its task"}
    record = record.model_copy(update=changes)
    write_atomic(folder / RECORD_FILE, record.model_dump_json() + "\n")
    return record


def task_of(environment: Mapping[str, str]) -> str:
    """``12_3`` for the third task of array 12; '' outside of Slurm."""
    job = environment.get("SLURM_ARRAY_JOB_ID")
    if job is None:
        return environment.get("SLURM_JOB_ID", "")
    return f"{job}_{environment.get('SLURM_ARRAY_TASK_ID', '')}"


def _errand(folder: Path) -> Errand:
    file = folder / ERRAND_FILE
    try:
        return Errand.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except ValidationError as error:
        raise MachineError(
            f"the harness here ({__version__}) does not understand {file}: another version sent it",
            "install the same version on both",
        ) from error


def answer(folder: Path) -> Record | Refused | None:
    """What the task has left in `folder` by now.

    The folder is listed first: a network file system may remember for a while that a file was
    not there, and less so what a folder holds. Raises MachineError for what cannot be understood.
    """
    try:
        there = os.listdir(folder)  # noqa: PTH208 - names alone
        if RECORD_FILE in there:
            return Record.model_validate_json((folder / RECORD_FILE).read_bytes())
        if REFUSED_FILE in there:
            return Refused.model_validate_json((folder / REFUSED_FILE).read_bytes())
    except OSError:
        return None  # it may be there at the next look
    except ValidationError as error:
        raise MachineError(
            f"what was left in {folder} cannot be understood: another version of the harness "
            "wrote it",
            "install the same version on both",
        ) from error
    return None


def has_begun(folder: Path) -> bool:
    """Whether a harness started there."""
    try:
        return BEGUN_FILE in os.listdir(folder)  # noqa: PTH208 - names alone
    except OSError:
        return False


def last_printed(output: Path) -> str:
    """The end of a task's output in one line; '' where it printed nothing."""
    try:
        with output.open("rb") as file:
            file.seek(max(0, output.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    told = " / ".join(" ".join(line.split()) for line in lines[-6:] if line.strip())
    return told if len(told) <= TAIL_CHARACTERS else "…" + told[-TAIL_CHARACTERS:]
