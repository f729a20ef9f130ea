"""The arrays of one run: their files in the run folder, and the jobs that they became."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import MachineError
from harness.executors.slurm.gather import Gathering
from harness.executors.slurm.queue import Commands
from harness.executors.slurm.script import (
    Array,
    job_name,
    script_text,
    task_folders,
    tasks_text,
)
from harness.executors.slurm.site import Site
from harness.results.files import told_clearly, write_atomic
from harness.results.run import ERRAND_FILE

FOLDER = "slurm"


@dataclass(frozen=True)
class Job:
    """A task of Slurm's: its name (``12_3``), its attempt's folder, the file of what it prints."""

    task: str
    folder: Path
    output: Path


@dataclass(frozen=True)
class Wishes:
    """What every array asks for; `gres` where its cases want a GPU, `python` has the harness."""

    site: Site
    gres: str | None
    python: str
    gather_s: float


class Arrays:
    """Submits attempts of the run in `path`, and finds those of a driver that has died."""

    def __init__(self, path: Path, commands: Commands, wishes: Wishes) -> None:
        self._path = path
        self._commands = commands
        self._wishes = wishes
        self._lock = threading.Lock()
        self._outputs: dict[str, Path] = {}
        self._left: dict[Path, Job] = {}
        self._gatherings = {
            on_gpu: Gathering(self._submitting(on_gpu), wishes.gather_s) for on_gpu in (False, True)
        }

    def submit(self, folder: Path, on_gpu: bool) -> Job:
        """The task that will make the attempt in `folder`, alone or in an array with others.

        Raises InfraError while Slurm is away, MachineError where it refuses or nothing can be
        written.
        """
        task = self._gatherings[on_gpu].task_for(folder)
        return Job(task, folder, self._outputs[task])

    def left_by_another(self, folder: Path) -> Job | None:
        """A task of an earlier attempt at the same repeat that `find_left` found, for once.

        It may have ended since. `folder` is the attempt's that would be made now.
        """
        with self._lock:
            of_repeat = (f for f in self._left if f.parent == folder.parent and f != folder)
            earlier = next(of_repeat, None)
            return None if earlier is None else self._left.pop(earlier)

    def _submitting(self, on_gpu: bool):  # type: ignore[no-untyped-def]
        gres = self._wishes.gres if on_gpu else None
        return lambda folders: self._submit(folders, gres)

    def _submit(self, folders: Sequence[Path], gres: str | None) -> list[str]:
        if any("\n" in str(folder) or '"' in str(folder) for folder in folders):
            raise MachineError(
                f"the results folder {self._path} has a line break or a quotation mark in its name",
                "name another with --results",
            )
        with self._lock:
            array = self._next_array()
            write_atomic(array.tasks, tasks_text(folders))
            text = script_text(
                self._path.name, array, len(folders), self._wishes.site, gres, self._wishes.python
            )
            write_atomic(array.script, text)
        number = self._commands.submit(array.script)
        outputs = {f"{number}_{n}": array.output(n) for n in range(1, len(folders) + 1)}
        self._outputs.update(outputs)
        return list(outputs)

    def _next_array(self) -> Array:
        place = self._path / FOLDER
        with told_clearly(place):
            place.mkdir(exist_ok=True)
            numbers = [int(file.stem.partition("-")[2]) for file in place.glob("array-*.tasks")]
        return Array(place, max(numbers, default=0) + 1)

    def find_left(self) -> None:
        """Look for tasks of an earlier start that have not ended.

        Raises MachineError where Slurm does not answer.
        """
        place = self._path / FOLDER
        lists = {file.stem: file for file in place.glob("array-*.tasks")}
        if lists:
            with self._lock:
                self._left = self._queued(place, lists)

    def _queued(self, place: Path, lists: Mapping[str, Path]) -> dict[Path, Job]:
        found = {}
        for task, script in self._commands.queued(job_name(self._path.name)).items():
            name, number = Path(script).stem, task.partition("_")[2]
            if name not in lists or not number.isdecimal():
                continue
            folder = task_folders(lists[name].read_text("utf-8")).get(int(number))
            if folder is not None and (folder / ERRAND_FILE).exists():
                output = Array(place, int(name.partition("-")[2])).output(int(number))
                found[folder] = Job(task, folder, output)
        return found
