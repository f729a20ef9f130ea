"""A cluster: attempts are tasks of Slurm's job arrays, their folders on a shared file system."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import InfraError, InputError
from harness.events import Note, OnEvent, Stopped
from harness.executors.base import Lane, Task
from harness.executors.errand import errand
from harness.executors.slurm.arrays import Arrays, Job, Wishes
from harness.executors.slurm.client import SlurmCommands, wishes
from harness.executors.slurm.queue import Commands, Pace, Queue
from harness.executors.slurm.script import sbatch_options
from harness.executors.slurm.site import Site, gres_of, load_site
from harness.executors.slurm.wait import STOPPED, Ended, Waiting, not_started
from harness.model import Device, PlannedCase, Record, Status
from harness.plan import Means
from harness.results.files import write_atomic
from harness.results.run import ERRAND_FILE
from harness.runner import Place, lost_record


def slurm_executor(means: Means, site: Path | None, gpu_model: str | None) -> SlurmExecutor:
    """The cluster that this machine's Slurm commands reach, tried with the site file's options.

    `gpu_model` is a GPU's as Slurm names it. Raises InputError for the file, MachineError where
    Slurm is not here or does not take such tasks.
    """
    told = load_site(site)
    gres = gres_of(told, gpu_model)
    commands = SlurmCommands()
    version = commands.check(sbatch_options(told, gres))
    reason = f"Slurm {version}: {wishes(told, gres)}"
    cluster = Cluster(_absolute(means), told, gres, gpu_model, reason)
    return SlurmExecutor(cluster, commands, Pace(poll_s=told.poll, grace_s=told.grace))


def _absolute(means: Means) -> Means:
    """A task may be submitted again from any folder."""
    data, python = means.data_dir, means.python
    return replace(
        means,
        data_dir=data.absolute() if data is not None else None,
        python=str(Path(python).absolute()) if python is not None and "/" in python else python,
    )


@dataclass(frozen=True)
class Cluster:
    """What a run asks of the cluster, and by what its cases are measured there."""

    means: Means
    site: Site
    gres: str | None
    gpu_model: str | None
    reason: str


class SlurmExecutor:
    """Submits attempts and waits for their records in the run folder."""

    name = "slurm"

    def __init__(self, cluster: Cluster, commands: Commands, pace: Pace) -> None:
        self._cluster = cluster
        self._commands = commands
        self._pace = pace
        self._queue = Queue(commands, pace.poll_s)
        self._lock = threading.Lock()
        self._runs: dict[Path, Arrays] = {}
        self._harness_started = False
        self._away = False

    @property
    def runtime(self) -> str:
        return self._cluster.means.runtime

    @property
    def reason(self) -> str:
        return self._cluster.reason

    def device(self, wish: str) -> Device:
        if wish == "cpu":
            return Device(kind="cpu")
        if wish != "auto":
            raise InputError(
                f"GPU {wish} is one machine's; on a cluster Slurm chooses the GPU",
                "write auto or cpu, and the GPU's model in the site file's gres",
            )
        if self._cluster.gres is None:
            return Device(kind="cpu")
        return Device(kind="gpu", name=self._cluster.gpu_model)

    def lanes(self, tasks: Sequence[Task], parallel: bool) -> Sequence[Lane]:
        """As many as may be queued at a time; the nodes are Slurm's to choose."""
        del parallel  # of one machine's devices
        return [None] * min(len(tasks), self._cluster.site.at_once)

    def rejoin(self, run: Path) -> None:
        """Tasks of a driver that has died. Raises MachineError where Slurm does not answer."""
        self._arrays_of(run).find_left()

    def attempt(
        self, case: PlannedCase, place: Place, on_event: OnEvent, stopped: Stopped
    ) -> Record:
        arrays = self._arrays_of(place.folder.parents[3])
        waiting = Waiting(self._queue, self._pace, on_event, stopped)
        left = arrays.left_by_another(place.folder)
        if left is not None:
            return self._taken_up(case, place, left, waiting)
        if stopped():
            return self._lost(case, place, STOPPED, Status.INTERRUPTED)
        sent = errand(case, place, self._cluster.means)
        write_atomic(place.folder / ERRAND_FILE, sent.model_dump_json(indent=2) + "\n")
        try:
            job = self._submitted(arrays, place.folder, sent.on_gpu, waiting)
        except InfraError as error:
            if stopped():
                return self._lost(case, place, STOPPED, Status.INTERRUPTED)
            return self._lost(case, place, str(error), Status.INFRA, error.transient)
        return self._record(case, place, job, waiting.outcome(job))

    def _submitted(self, arrays: Arrays, folder: Path, on_gpu: bool, waiting: Waiting) -> Job:
        """A controller that is away is asked again: that is no attempt, and no case's fault.

        Raises InfraError where it stays away, or the user has had enough.
        """
        until = time.monotonic() + self._pace.away_s
        while True:
            try:
                job = arrays.submit(folder, on_gpu)
            except InfraError as error:
                if not error.transient or time.monotonic() > until or waiting.stopped():
                    raise
                with self._lock:
                    told, self._away = self._away, True
                if not told:
                    waiting.on_event(Note(f"{error}; trying again"))
                time.sleep(self._pace.poll_s)
            else:
                self._away = False
                return job

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        """Nothing: Slurm ends what its tasks leave, and tasks that still run are waited for."""
        del labels
        return []

    def _arrays_of(self, run: Path) -> Arrays:
        with self._lock:
            if run not in self._runs:
                cluster = self._cluster
                python = cluster.site.python or sys.executable
                asked = Wishes(cluster.site, cluster.gres, python, self._pace.gather_s)
                self._runs[run] = Arrays(run, self._commands, asked)
            return self._runs[run]

    def _taken_up(self, case: PlannedCase, place: Place, left: Job, waiting: Waiting) -> Record:
        """The attempt of a driver that died, instead of another; it may have ended by now."""
        waiting.on_event(Note(f"job {left.task} of an earlier start is taken up"))
        with contextlib.suppress(OSError):
            place.folder.rmdir()
        number = int(left.folder.name[1:])
        there = replace(place, folder=left.folder, attempt=number)
        return self._record(case, there, left, waiting.outcome(left))

    def _record(self, case: PlannedCase, place: Place, job: Job, found: Record | Ended) -> Record:
        if isinstance(found, Record):
            self._harness_started = True
            return found
        self._harness_started = self._harness_started or found.begun
        told = found.verdict
        failed = told.status is Status.INFRA and not told.transient
        if failed and not self._harness_started:
            raise not_started(job, found)
        return self._lost(case, place, told.reason, told.status, told.transient)

    def _lost(
        self,
        case: PlannedCase,
        place: Place,
        reason: str,
        status: Status,
        transient: bool = False,
    ) -> Record:
        return lost_record(case, self.runtime, place, reason, status, transient)
