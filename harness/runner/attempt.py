"""One attempt of one case: start it, watch it, judge it, record it, leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfraError
from harness.model import Exit, LaunchSpec, OnEvent, PlannedCase, Record, Status, Stopped
from harness.results.files import write_atomic
from harness.runner.record import Ending, Place, make_record
from harness.runner.watch import Watch
from harness.runtimes.base import Attempt, Chunk, Runtime
from harness.runtimes.command import SPEC_FILE
from harness.units import human_seconds
from harness.workload import contract

LOG_FILE = "log.txt"
RECORD_FILE = "record.json"

LOOK_EVERY_S = 2.0
"""How often the case's state is asked for beside its output."""

WAIT_S = 0.25
"""How long to wait for output before looking at the other things."""

DRAIN_S = 10.0
"""How long an ended case's output may be silent before it is given up."""

GRACE_S = 5.0
"""Between TERM and KILL."""


def run_attempt(
    planned: PlannedCase,
    workload: Path,
    runtime: Runtime,
    place: Place,
    on_event: OnEvent,
    stopped: Stopped,
) -> Record:
    """Run one attempt and write its record.json.

    `stopped` is asked about four times a second while the case runs; once it says so, the case is
    ended and recorded as interrupted. Raises MachineError where the folder cannot be written.
    """
    write_atomic(place.folder / SPEC_FILE, json.dumps(planned.spec, indent=2) + "\n")
    watch = Watch(planned.id, place.folder / LOG_FILE, on_event)
    try:
        ending = _run(runtime, _launch_spec(planned, workload, place), planned, watch, stopped)
    finally:
        watch.close()
        # The workload removes it too, unless it was killed.
        (place.folder / contract.MODEL_FILE).unlink(missing_ok=True)
    record = make_record(planned, runtime.name, place, watch, ending)
    write_atomic(place.folder / RECORD_FILE, record.model_dump_json() + "\n")
    return record


def _launch_spec(planned: PlannedCase, workload: Path, place: Place) -> LaunchSpec:
    return LaunchSpec(
        workload=workload,
        out=place.folder,
        data=planned.data_folder,
        weights=planned.weights_folder,
        device=planned.device,
        image=planned.launch_image,
        env=planned.env,
        memory_limit=planned.memory_limit,
        labels={
            **place.labels,
            "harness.run": place.run_id,
            "harness.case": planned.id,
            "harness.attempt": f"r{place.repeat}.a{place.attempt}",
        },
    )


# ------------------------------------------------------------------ start and watch


@dataclass(frozen=True)
class _Killed:
    """Why the harness ended the case."""

    status: Status
    reason: str


def _run(
    runtime: Runtime, spec: LaunchSpec, planned: PlannedCase, watch: Watch, stopped: Stopped
) -> Ending:
    attempt: Attempt | None = None
    killed: _Killed | None = None
    try:
        attempt = runtime.start(spec)
        with _Reader(attempt) as reader:
            killed = _follow(attempt, reader, watch, planned.case.limits.timeout_s, stopped)
            if killed is not None:
                attempt.stop(GRACE_S)
                _drain(reader, watch)
        return _ending(attempt.result(), killed)
    except InfraError as error:
        return _ending(Exit(code=None), killed, str(error))
    finally:
        if attempt is not None:
            attempt.remove()


def _ending(ended: Exit, killed: _Killed | None, trouble: str | None = None) -> Ending:
    if killed is None:
        return Ending(ended, None, trouble)
    told = ended.model_copy(update={"killed_because": killed.reason})
    return Ending(told, killed.status, trouble)


def _follow(
    attempt: Attempt, reader: _Reader, watch: Watch, timeout_s: float | None, stopped: Stopped
) -> _Killed | None:
    """Read until output and case have ended, or say why the case has to be ended."""
    started = time.monotonic()
    look_at = started + LOOK_EVERY_S
    while True:
        chunk = reader.next(WAIT_S)
        if chunk is not None:
            watch.feed(chunk)
        elif reader.finished:
            return None
        moment = time.monotonic()
        if moment >= look_at:
            look_at = moment + LOOK_EVERY_S
            if not attempt.running():
                _drain(reader, watch)
                return None
        if stopped():
            return _Killed(Status.INTERRUPTED, "stopped by the user")
        if timeout_s is not None and moment - started > timeout_s:
            return _Killed(Status.TIMEOUT, f"over its time limit of {human_seconds(timeout_s)}")


def _drain(reader: _Reader, watch: Watch) -> None:
    """Take what an ended case's output still holds; one that hangs is left after a while."""
    silent_since = time.monotonic()
    while not reader.finished and time.monotonic() - silent_since < DRAIN_S:
        chunk = reader.next(WAIT_S)
        if chunk is not None:
            silent_since = time.monotonic()
            watch.feed(chunk)


class _Reader:
    """The attempt's output from a thread, since a dead peer can block a read for ever."""

    def __init__(self, attempt: Attempt) -> None:
        self.finished = False
        self._closed = False
        self._queue: queue.Queue[Chunk | Exception | None] = queue.Queue(maxsize=256)
        self._thread = threading.Thread(target=self._read, args=(attempt.chunks(),), daemon=True)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closed = True  # lets the thread go, should it wait for room

    def _read(self, chunks: Iterator[Chunk]) -> None:
        try:
            for chunk in chunks:
                self._put(chunk)
            self._put(None)
        except Exception as error:
            self._put(error)

    def _put(self, item: Chunk | Exception | None) -> None:
        while not self._closed:
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=1.0)
                return

    def next(self, timeout: float) -> Chunk | None:
        """The next chunk; None at the end (then `finished`) or where none came in time."""
        try:
            item = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, InfraError):
            raise item
        if isinstance(item, Exception):
            raise InfraError(f"reading the output failed: {item}") from item
        self.finished = item is None
        return item
