"""The node's side of a fleet: looks at itself, measures an attempt, hands it over, tidies up."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from harness import __version__
from harness.catalog import datasets, images
from harness.errors import HarnessError, MachineError, NoEngineError
from harness.events import Event, Note, OnEvent, Progress, Stopped
from harness.executors.errand import Errand, run_errand
from harness.executors.ray.parcel import pack
from harness.executors.ray.port import Ended, Look, Wish, Word, same_model
from harness.host.allowed import allowed
from harness.host.gpus import find_gpus
from harness.host.home import cache_folder
from harness.images import find
from harness.model import Record
from harness.plan import DataFolders
from harness.plan.cases import workload_digest
from harness.results.files import held
from harness.results.run import is_alive
from harness.runtimes.engines import answering
from harness.runtimes.leftovers import find_leftovers
from harness.runtimes.rehearsal import remove_dead

CHUNK = 4 << 20
"""Bytes of a parcel in one piece."""
MOST_EVENTS = 200
"""Events that wait to be fetched; of more, the oldest are forgotten."""

Measure = Callable[[Errand, Path, OnEvent, Stopped], Record]


class Attending:
    """One attempt on this node. Its methods are called from afar, several at once.

    `measure` and `reap` are other than the real ones in tests.
    """

    def __init__(
        self,
        measure: Measure = run_errand,
        reap: Callable[[Mapping[str, str]], list[str]] | None = None,
        root: Path | None = None,
    ) -> None:
        self._measure = measure
        self._reap = reap or sweep_here
        self._root = root
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._parcel: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - until the process ends
        self._ended: Ended | None = None

    def begin(self, errand: str, wish: Wish) -> None:
        """Measure the errand (its JSON) in a thread of its own."""
        threading.Thread(target=self._attend, args=(errand, wish), daemon=True).start()

    def listen(self, wait_s: float) -> Word:
        """What happened since; waits for something as long as `wait_s`."""
        with self._changed:
            if not self._events and self._ended is None:
                self._changed.wait(wait_s)
            events = _latest(self._events)
            self._events.clear()
            return Word(events, self._ended)

    def stop(self) -> None:
        self._stopped.set()

    def read(self, offset: int) -> bytes:
        """A piece of the parcel; none at its end."""
        self._parcel.seek(offset)
        return self._parcel.read(CHUNK)

    # -------------------------------------------------------------- in the thread

    def _attend(self, text: str, wish: Wish) -> None:
        try:
            ended = self._made(_parsed(text), wish)
        except HarnessError as error:
            step = f" ({error.next_step})" if error.next_step else ""
            ended = Ended(lacks=error.message + step)
        except BaseException as error:  # whatever it is, the other side has to hear of it
            ended = Ended(failed=f"the harness failed there: {type(error).__name__}: {error}")
        with self._changed:
            self._ended = ended
            self._changed.notify_all()

    def _made(self, errand: Errand, wish: Wish) -> Ended:
        folder = _new_folder(self._root or attempts_folder(), errand)
        try:
            # Whoever looks for what dead attempts left sees by this that we live.
            with held(folder, f"{folder} is in use"):
                self._tidy(errand.run_id)
                _require(wish)
                own = {**errand.labels, "harness.folder": str(folder)}
                errand = errand.model_copy(update={"labels": own})
                self._measure(errand, folder, self._tell, self._stopped.is_set)
                for name in pack(folder, self._parcel):
                    self._tell(Note(f"left there, too large to travel: {name}"))
                self._parcel.flush()
                return Ended(size=self._parcel.tell())
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _tidy(self, run_id: str) -> None:
        """A container outlives the worker that started it: none may run beside what comes."""
        for what in self._reap({"harness.run": run_id}):
            self._tell(Note(f"removed a container that was left: {what}"))

    def _tell(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()


def _latest(events: deque[Event]) -> tuple[Event, ...]:
    """All of them, but of each phase's progress the last alone."""
    last = {(e.case_id, e.phase): e for e in events if isinstance(e, Progress)}
    return tuple(
        event
        for event in events
        if not isinstance(event, Progress) or last[event.case_id, event.phase] is event
    )


def _parsed(text: str) -> Errand:
    try:
        return Errand.model_validate_json(text)
    except ValidationError as error:
        raise MachineError(
            f"the harness there ({__version__}) does not understand what was sent",
            "install the same version on both",
        ) from error


def _require(wish: Wish) -> None:
    """Raise MachineError where the GPU that was asked for is not the one left to this process."""
    if not wish.gpu:
        return
    gpus = find_gpus()
    usable = allowed(gpus, os.environ)
    if not usable.found:
        said = f" ({usable.problem})" if usable.problem else ""
        raise MachineError(
            f"Ray lends a GPU of this node, and the harness sees none{said}",
            "see that nvidia-smi works there, and restart the node with the GPUs it really has",
        )
    mixed = len({gpu.name for gpu in gpus.found}) > 1
    name = usable.found[0].name
    if wish.model is not None and mixed and not same_model(wish.model, name):
        raise MachineError(f"Ray gave {name}, and {wish.model} was asked for")


def attempts_folder() -> Path:
    """Where attempts of other machines' runs are made on this one. Raises MachineError."""
    return cache_folder() / "elsewhere"


def _new_folder(root: Path, errand: Errand) -> Path:
    name = f"{errand.case.id}_r{errand.repeat}_a{errand.attempt}_"
    run = root / Path(errand.run_id).name
    try:
        run.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=name, dir=run))
    except OSError as error:
        raise MachineError(
            f"{run} cannot be written: {error.strerror}", "free some space there"
        ) from error


def sweep_here(labels: Mapping[str, str]) -> list[str]:
    """Remove what dead attempts with these labels left: containers and folders.

    Those of attempts that live, in a worker beside this one, stay.
    """
    removed: list[str] = []
    with contextlib.suppress(HarnessError):
        for engine in answering():
            remove_dead(engine)  # while their folders, in the attempts', still tell that they are
            for container in find_leftovers(engine, is_alive):
                if all(container.labels.get(name) == value for name, value in labels.items()):
                    removed += _remove(container)
    with contextlib.suppress(HarnessError, OSError):
        _remove_folders(attempts_folder() / Path(labels["harness.run"]).name)
    return removed


def _remove(container: object) -> list[str]:
    from harness.runtimes.containers import remove

    return remove([container])  # type: ignore[list-item]


NEW_S = 60.0
"""A folder younger than this may be about to be held."""


def _remove_folders(run: Path) -> None:
    for folder in run.iterdir():
        if time.time() - folder.stat().st_mtime > NEW_S and not is_alive(folder):
            shutil.rmtree(folder, ignore_errors=True)
    if not any(run.iterdir()):
        run.rmdir()


def look_here() -> Look:
    """This machine in the words of a fleet's table. Never raises for what is missing."""
    gpus = find_gpus()
    folders = DataFolders.of(None)
    engine, there = _images()
    return Look(
        hostname=socket.gethostname(),
        python=platform.python_version(),
        harness=__version__,
        workload=workload_digest(),
        token=os.environ.get("RAY_AUTH_MODE") == "token",
        gpus=tuple(gpu.name for gpu in gpus.found),
        vendor=gpus.found[0].vendor if gpus.found else None,
        driver=gpus.driver,
        engine=engine,
        images=there,
        datasets=tuple(
            name for name, entry in datasets().items() if entry.files and folders.find(entry)
        ),
        cpus=len(os.sched_getaffinity(0)),
    )


def _images() -> tuple[str | None, tuple[str, ...]]:
    try:
        engine = answering()[0]
        there = tuple(name for name, entry in images().items() if find(engine, entry) is not None)
    except NoEngineError:
        return None, ()
    except HarnessError as error:
        return f"fails: {error.message.splitlines()[0]}", ()
    return f"{engine.kind} {engine.version}", there
