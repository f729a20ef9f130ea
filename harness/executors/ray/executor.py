"""A fleet: attempts placed on the nodes of a Ray cluster, one on each at a time."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from harness.errors import InfraError, InputError, MachineError
from harness.events import Event, Note, OnEvent, Stopped
from harness.executors.base import Lane, Task
from harness.executors.errand import errand
from harness.executors.ray.hosts import Hosts, Need, models_of
from harness.executors.ray.parcel import MOST, unpack
from harness.executors.ray.port import (
    Ended,
    Fleet,
    Host,
    Job,
    LackingError,
    Look,
    LostError,
    Word,
)
from harness.host.gpus import CPU
from harness.model import Device, PlannedCase, Record, Status
from harness.plan import Means
from harness.results.run import RECORD_FILE
from harness.runner import Place, lost_record

WAIT_S = 0.25
"""How long to wait for a word before looking whether the user has stopped the run."""
ROOM_S = 60.0
"""How long an attempt may wait for room on its node before that is told."""
SILENT_S = 300.0
"""After so much silence of a node that had answered, its attempt is given up."""
STOP_S = 60.0
"""How long an attempt may take to end once it is asked to."""


@contextmanager
def answering(what: str = "") -> Iterator[None]:
    """Turn a cluster that does not answer within into a MachineError: `what`, and why."""
    try:
        yield
    except LostError as lost:
        told = f"{what}: {lost}" if what else str(lost)
        raise MachineError(told, "see that the cluster's head is alive: ray status") from lost


@dataclass(frozen=True)
class RayExecutor:
    """Sends attempts to the nodes of `fleet`, which measure them by `means`.

    `looks` are what the usable nodes said of themselves, `model` the GPU that was asked for.
    """

    fleet: Fleet
    hosts: Hosts
    means: Means
    looks: Mapping[str, Look] = field(default_factory=dict)
    model: str | None = None
    name: str = "ray"
    _lost: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def runtime(self) -> str:
        return self.means.runtime

    @property
    @answering()
    def reason(self) -> str:
        return self.fleet.about

    @answering()
    def device(self, wish: str) -> Device:
        """A GPU where any node lends one, or else the processor, for ``auto``."""
        if wish == "cpu":
            return CPU
        if wish != "auto":
            raise InputError(
                f"GPU {wish} is one machine's, and a fleet has many",
                "say --gpu auto, and which kind with --gpu-model",
            )
        lending = [host for host in self.hosts.alive() if host.gpus]
        if not lending:
            return CPU
        looks = [look for host in lending if (look := self.looks.get(host.id)) is not None]
        vendor = next((look.vendor for look in looks if look.vendor), "nvidia")
        names = {name for host in lending for name in models_of(host, self.looks.get(host.id))}
        name = self.model or (names.pop() if len(names) == 1 else None)
        return Device(kind="gpu", name=name, vendor=vendor)

    @answering()
    def lanes(self, tasks: Sequence[Task], parallel: bool) -> Sequence[Lane]:
        """One for each node that can do any of the tasks."""
        del parallel  # one attempt at a time on a node, as on one machine
        needs = {Need.of(task.case, self.model) for task in tasks}
        able = {host.id for need in needs for host in self.hosts.able(need)}
        return [None] * max(1, min(len(able), len(tasks)))

    def attempt(
        self, case: PlannedCase, place: Place, on_event: OnEvent, stopped: Stopped
    ) -> Record:
        try:
            return self._somewhere(case, place, on_event, stopped)
        except LostError as lost:
            gone = Status.INTERRUPTED if stopped() else Status.INFRA
            transient = lost.transient and gone is Status.INFRA
            return lost_record(case, self.runtime, place, str(lost), gone, transient)

    def rejoin(self, run: Path) -> None:
        """Nothing: an attempt on a node ends with the driver that asked for it."""

    @answering("the fleet could not be tidied up")
    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        """On every node that answers: an attempt's folder does not tell where it was."""
        return self.fleet.sweep(self.hosts.alive(), labels)

    # -------------------------------------------------------------- one attempt

    def _somewhere(
        self, case: PlannedCase, place: Place, on_event: OnEvent, stopped: Stopped
    ) -> Record:
        """Try the nodes that may do it until one has. Raises LostError."""
        need = Need.of(case, self.model)
        which = (case.id, place.repeat)
        while True:
            with self._lock:
                avoid = frozenset(self._lost.get(which, ()))
            host = self.hosts.take(need, avoid, stopped)
            if host is None:
                why = "stopped by the user" if stopped() else self.hosts.why_none(need)
                raise LostError(why, transient=False)
            try:
                record = self._on(host, need, case, place, (on_event, stopped))
                self.hosts.kept(host)
                return record
            except LackingError as lacking:
                if self.hosts.lacks(host, need, str(lacking)):
                    on_event(Note(f"{host.name} is not used for {case.id} and its like: {lacking}"))
            except LostError as lost:
                if not stopped():
                    self._strike(host, which, on_event)
                raise LostError(f"on {host.name}: {lost}", lost.transient) from lost
            finally:
                self.hosts.release(host)

    def _strike(self, host: Host, which: tuple[str, int], on_event: OnEvent) -> None:
        with self._lock:
            self._lost.setdefault(which, set()).add(host.id)
        if self.hosts.lost(host):
            on_event(Note(f"{host.name} is not used any more: it lost several attempts in a row"))

    def _on(
        self,
        host: Host,
        need: Need,
        case: PlannedCase,
        place: Place,
        ears: tuple[OnEvent, Stopped],
    ) -> Record:
        """Measure it on this node. Raises LackingError and LostError."""
        job = self.fleet.start(host, errand(case, place, self.means), need.wish)
        try:
            ended = self._followed(job, host, case, ears)
            if ended.lacks is not None:
                raise LackingError(ended.lacks)
            if ended.failed is not None:
                raise LostError(ended.failed, transient=False)
            fetch(job, ended.size, place.folder)
        except InfraError as error:
            raise LostError(str(error), error.transient) from error
        finally:
            job.end()
        return self._record(place.folder)

    def _followed(
        self, job: Job, host: Host, case: PlannedCase, ears: tuple[OnEvent, Stopped]
    ) -> Ended:
        """Pass on what is heard of the attempt until it has ended. Raises LostError."""
        on_event, stopped = ears
        silence, asked = _Silence(host, case.id), None
        while True:
            word = job.listen(WAIT_S)
            for event in word.events if word is not None else ():
                on_event(_told_by(host, event))
            if word is not None and word.ended is not None:
                return word.ended
            note = silence.after(word)
            if note is not None:
                on_event(note)
            if asked is None and stopped():
                asked = time.monotonic()
                job.stop()
            if asked is not None and time.monotonic() - asked > STOP_S:
                raise LostError(f"it did not end within {STOP_S:.0f} s of being stopped")

    def _record(self, folder: Path) -> Record:
        try:
            return Record.model_validate_json((folder / RECORD_FILE).read_bytes())
        except (OSError, ValidationError) as error:
            raise LostError("the record that came back cannot be read", False) from error


class _Silence:
    """How long nothing has been heard of an attempt."""

    def __init__(self, host: Host, case_id: str) -> None:
        self._host, self._case_id = host, case_id
        self._since = time.monotonic()
        self._answered = self._told = False

    def after(self, word: Word | None) -> Note | None:
        """Something to tell because of it. Raises LostError once it is too long."""
        if word is not None:
            self._since, self._answered = time.monotonic(), True
            return None
        silent = time.monotonic() - self._since
        if self._answered and silent > SILENT_S:
            raise LostError(f"nothing was heard of it for {SILENT_S:.0f} s")
        if self._answered or self._told or silent < ROOM_S:
            return None
        self._told = True
        return Note(f"{self._case_id} waits for room on {self._host.name}: others use it")


def _told_by(host: Host, event: Event) -> Event:
    if isinstance(event, Note):
        return replace(event, text=f"{host.name}: {event.text}")
    return event


def fetch(job: Job, size: int, folder: Path) -> None:
    """Bring an attempt's folder here. Raises LostError, InfraError and MachineError."""
    if size > MOST:
        raise InfraError(f"its folder of {size} bytes is too large to travel")
    with tempfile.TemporaryFile() as file:
        got = 0
        while got < size:
            piece = job.read(got)
            if not piece or got + len(piece) > size:
                raise InfraError("what came back is not whole", transient=True)
            file.write(piece)
            got += len(piece)
        file.seek(0)
        unpack(file, folder)
