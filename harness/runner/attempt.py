"""One attempt of one case: start it, watch it, judge it, record it, leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from harness.errors import InfraError
from harness.events import OnEvent, Stopped
from harness.model import Exit, LaunchSpec, Limits, PlannedCase, Record, Status
from harness.probes.case import CaseProcesses
from harness.results.files import held, write_atomic
from harness.results.run import RECORD_FILE
from harness.runner.meter import Meter
from harness.runner.record import Ending, Place, make_record
from harness.runner.sampling import sampled
from harness.runner.vigil import Killed, Vigil
from harness.runner.watch import Watch
from harness.runtimes.base import Attempt, Chunk, Runtime
from harness.runtimes.command import SPEC_FILE
from harness.workload import contract

LOG_FILE = "log.txt"

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
    watch, meter = Watch(planned.id, place.folder / LOG_FILE, on_event), Meter()
    launch = _launch_spec(planned, workload, place)
    try:
        # The workload ends itself once this lock is let go, should the harness be killed.
        with held(place.folder / SPEC_FILE, f"another harness is at work on {place.folder}"):
            ending = _run(runtime, launch, planned.case.limits, watch, meter, stopped)
    finally:
        meter.close()
        watch.close()
        # The workload removes it too, unless it was killed.
        (place.folder / contract.MODEL_FILE).unlink(missing_ok=True)
    record = make_record(planned, runtime.name, place, watch, ending, meter.memory())
    write_atomic(place.folder / RECORD_FILE, record.model_dump_json() + "\n")
    return record


def attempt_labels(run_id: str, case_id: str, repeat: int, attempt: int) -> dict[str, str]:
    """What a runtime marks an attempt with, and finds it again by."""
    return {
        "harness.run": run_id,
        "harness.case": case_id,
        "harness.attempt": f"r{repeat}.a{attempt}",
    }


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
            **attempt_labels(place.run_id, planned.id, place.repeat, place.attempt),
        },
    )


# ------------------------------------------------------------------ start and watch


def _run(
    runtime: Runtime,
    spec: LaunchSpec,
    limits: Limits,
    watch: Watch,
    meter: Meter,
    stopped: Stopped,
) -> Ending:
    attempt: Attempt | None = None
    killed: Killed | None = None
    try:
        attempt = runtime.start(spec)
        first = attempt.first_process()
        case = CaseProcesses(first.pid, first.container) if first is not None else None
        meter.begin(case, spec.device)
        vigil = Vigil.over(attempt, limits)
        with sampled(case, spec.device, spec.out), _Reader(attempt) as reader:
            killed = _follow(attempt, reader, watch, vigil, meter, stopped)
            if killed is not None:
                attempt.stop(GRACE_S)
                _drain(reader, watch)
        return _ending(attempt.result(), killed)
    except InfraError as error:
        return _ending(Exit(code=None), killed, error)
    finally:
        if attempt is not None:
            attempt.remove()


def _ending(ended: Exit, killed: Killed | None, error: InfraError | None = None) -> Ending:
    trouble = str(error) if error is not None else None
    transient = error is not None and error.transient
    if killed is None:
        return Ending(ended, None, trouble, transient)
    told = ended.model_copy(update={"killed_because": killed.reason})
    return Ending(told, killed.status, trouble, transient)


def _follow(
    attempt: Attempt,
    reader: _Reader,
    watch: Watch,
    vigil: Vigil,
    meter: Meter,
    stopped: Stopped,
) -> Killed | None:
    """Read until output and case have ended, or say why the case has to be ended."""
    look_at = time.monotonic() + LOOK_EVERY_S
    while True:
        chunk = reader.next(WAIT_S)
        if chunk is not None:
            vigil.heard()
            watch.feed(chunk)
        elif reader.finished:
            return None
        meter.look()
        moment = time.monotonic()
        if moment >= look_at:
            look_at = moment + LOOK_EVERY_S
            if not attempt.running():
                _drain(reader, watch)
                return None
        if stopped():
            return Killed(Status.INTERRUPTED, "stopped by the user")
        killed = vigil.over_its_limits()
        if killed is not None:
            return killed


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
