"""One attempt of one case: start it, watch it, judge it, record it, leave nothing behind."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from harness.errors import InfraError
from harness.model import Exit, LaunchSpec, OnEvent, PlannedCase, Record, Status
from harness.results.files import write_atomic
from harness.runner.record import Ending, Place, make_record
from harness.runner.watch import Watch
from harness.runtimes.base import Attempt, Chunk, Runtime
from harness.runtimes.command import SPEC_FILE
from harness.units import human_seconds

LOG_FILE = "log.txt"
RECORD_FILE = "record.json"

LOOK_EVERY_S = 2.0
"""How often the case's state is asked for beside its output."""

DRAIN_S = 10.0
"""How long an ended case's output may still take to arrive."""

GRACE_S = 5.0
"""Between TERM and KILL."""


class Interrupted(BaseException):
    """The user stopped the run; `record` is the interrupted attempt's."""

    def __init__(self, record: Record) -> None:
        super().__init__("interrupted")
        self.record = record


def run_attempt(
    planned: PlannedCase, workload: Path, runtime: Runtime, place: Place, on_event: OnEvent
) -> Record:
    """Run one attempt and write its record.json. Raises Interrupted after a Ctrl-C."""
    watch = Watch(planned.id, place.folder / LOG_FILE, on_event)
    write_atomic(place.folder / SPEC_FILE, json.dumps(planned.spec, indent=2) + "\n")
    try:
        ending = _run(runtime, _launch_spec(planned, workload, place), planned, watch)
    finally:
        watch.close()
    record = make_record(planned, runtime.name, place, watch, ending)
    write_atomic(place.folder / RECORD_FILE, record.model_dump_json() + "\n")
    if ending.killed_as is Status.INTERRUPTED:
        raise Interrupted(record)
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


def _run(runtime: Runtime, spec: LaunchSpec, planned: PlannedCase, watch: Watch) -> Ending:
    killed_as: Status | None = None
    reason: str | None = None
    attempt: Attempt | None = None
    try:
        attempt = runtime.start(spec)
        try:
            _follow(attempt, watch, planned.timeout_s)
        except _TimeUpError as error:
            killed_as, reason = Status.TIMEOUT, str(error)
        except KeyboardInterrupt:
            killed_as, reason = Status.INTERRUPTED, "stopped by the user"
        if killed_as is not None:
            attempt.stop(GRACE_S)
        ended = attempt.result().model_copy(update={"killed_because": reason})
        return Ending(ended, killed_as)
    except KeyboardInterrupt:
        return Ending(Exit(code=None, killed_because="stopped by the user"), Status.INTERRUPTED)
    except InfraError as error:
        return Ending(Exit(code=None, killed_because=reason), killed_as, str(error))
    finally:
        if attempt is not None:
            attempt.remove()


class _TimeUpError(Exception):
    """The case ran longer than it may."""


def _follow(attempt: Attempt, watch: Watch, timeout_s: float | None) -> None:
    """Read until the output and the case have ended. Raises _TimeUpError past the time limit."""
    reader = _Reader(attempt)
    started = time.monotonic()
    look_at = started + LOOK_EVERY_S
    ended_at: float | None = None
    while True:
        chunk = reader.next(timeout=0.5)
        if chunk is not None:
            watch.feed(chunk)
        elif reader.finished:
            return
        moment = time.monotonic()
        if timeout_s is not None and moment - started > timeout_s:
            raise _TimeUpError(f"over its time limit of {human_seconds(timeout_s)}")
        if ended_at is not None and chunk is None and moment - ended_at > DRAIN_S:
            return  # the case is over and its output hangs: what arrived is what there is
        if ended_at is None and moment >= look_at:
            look_at = moment + LOOK_EVERY_S
            if not attempt.running():
                ended_at = moment


class _Reader:
    """The attempt's output from a thread, since a dead peer can block a read for ever."""

    def __init__(self, attempt: Attempt) -> None:
        self.finished = False
        self._queue: queue.Queue[Chunk | BaseException | None] = queue.Queue(maxsize=256)
        threading.Thread(target=self._read, args=(attempt.chunks(),), daemon=True).start()

    def _read(self, chunks: Iterator[Chunk]) -> None:
        try:
            for chunk in chunks:
                self._queue.put(chunk)
            self._queue.put(None)
        except Exception as error:
            self._queue.put(error)

    def next(self, timeout: float) -> Chunk | None:
        """The next chunk; None at the end (then `finished`) or where none came in time."""
        try:
            item = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, InfraError):
            raise item
        if isinstance(item, BaseException):
            raise InfraError(f"reading the output failed: {item}") from item
        self.finished = item is None
        return item
