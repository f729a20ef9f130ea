"""What is seen while a run goes on: one live row a case, or plain lines where it is no terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from harness import events, model
from harness.units import human_bytes, human_seconds

LINE_EVERY_S = 10.0

PREDICTED = "≈"

_MARKS = {True: "[green]done[/]", False: "[red]ended[/]"}


class Display(AbstractContextManager["Display"], Protocol):
    """Shows events and notes on standard error; tables go to standard output."""

    def on_event(self, event: events.Event) -> None:
        """Show one event of a run."""

    def note(self, text: str) -> None:
        """Show what happens beside the cases, such as an image being built."""


def display() -> Display:
    """A live display for a terminal, lines for a pipe or a file."""
    return Live() if sys.stderr.isatty() else Lines(time.monotonic)


def outcome(record: model.Record) -> str:
    """How a case ended, in a few words."""
    if record.same_as is not None:
        return f"{record.status.value}, measured as {record.same_as}"
    parts = [record.status.value]
    for name in ("total_execution_s", "total_inference_s"):
        seconds = getattr(record.timing, name)
        if seconds is not None:
            about = PREDICTED if name in record.timing.predicted else ""
            parts.append(f"{name.removesuffix('_s').replace('_', ' ')} {about}{seconds:.1f} s")
    return ", ".join(parts) + (f": {record.reason}" if record.reason else "")


_DID = {
    model.MemoryKind.NOTICE: "speaks of",
    model.MemoryKind.RECOVERABLE: "went on without",
    model.MemoryKind.UNCERTAIN: "may have failed to get",
    model.MemoryKind.HARD: "could not get",
    model.MemoryKind.HOST: "could not get",
}


def memory_words(event: model.MemoryEvent) -> str:
    """A memory message in a few words."""
    size = human_bytes(event.requested_bytes) if event.requested_bytes else "memory"
    who = event.allocator or ("the host" if event.kind is model.MemoryKind.HOST else "the device")
    return f"{who} {_DID[event.kind]} {size}"


def resource_words(event: model.ResourceEvent) -> str:
    """What a log says of a resource other than memory."""
    return f"{event.resource}: {event.line}"


def retry_words(event: events.Retrying) -> str:
    """That an attempt failed for a reason which may pass."""
    return f"{event.record.reason}; trying again in {human_seconds(event.wait_s)}"


def where(event: events.Progress) -> str:
    if event.sampling:
        return f"sample, {event.done} of at most {event.total} s"
    if event.epochs is None or event.epochs < 2:
        return f"step {event.done}/{event.total}"
    return f"epoch {event.epoch}/{event.epochs}"


class Lines:
    """Lines that make sense in a log file: starts, ends, and progress every ten seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def on_event(self, event: events.Event) -> None:
        match event:
            case events.CaseStarted():
                self._started[event.case_id] = self._last[event.case_id] = self._clock()
                self.note(f"case {event.number}/{event.of}: {event.case_id}")
            case events.PhaseStarted():
                self._started[event.case_id] = self._clock()
                self._of_case(event.case_id, event.phase)
            case events.Progress():
                self._progress(event)
            case events.MemoryEventSeen():
                self._of_case(event.case_id, f"memory: {memory_words(event.memory)}")
            case events.ResourceEventSeen():
                self._of_case(event.case_id, resource_words(event.resource))
            case events.CaseFinished():
                self._of_case(event.record.case_id, outcome(event.record))
                self._started.pop(event.record.case_id, None)
            case events.Retrying():
                self._of_case(event.record.case_id, retry_words(event))
            case events.Note():
                self.note(event.text)

    def _progress(self, event: events.Progress) -> None:
        moment = self._clock()
        if moment - self._last.setdefault(event.case_id, moment) < LINE_EVERY_S:
            return
        self._last[event.case_id] = moment
        rate = f", {event.images_per_s:.0f} images/s" if event.images_per_s else ""
        since = moment - self._started.setdefault(event.case_id, moment)
        left = (event.total - event.done) * since / max(event.done, 1)
        time_left = "" if event.sampling else f", {human_seconds(left)} left"
        self._of_case(event.case_id, f"{event.phase} {where(event)}{rate}{time_left}")

    def _of_case(self, case_id: str, text: str) -> None:
        """Below the case's own line; named where others are measured beside it."""
        self.note(f"  {case_id}: {text}" if len(self._started) > 1 else f"  {text}")

    def note(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads on: the run matters more
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


class Live:
    """One live row for each case that runs, and a line for each that has ended."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._rows = Progress(
            TextColumn("{task.fields[number]} {task.description}"),
            TextColumn("{task.fields[phase]}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[where]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            refresh_per_second=2,  # ten a second, rich's default, cost 1.3% of a core
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Live:
        self._rows.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rows.stop()

    def on_event(self, event: events.Event) -> None:
        match event:
            case events.CaseStarted():
                number = f"{event.number}/{event.of}"
                self._show(event.case_id, number, "starting")
            case events.PhaseStarted() if event.case_id in self._tasks:
                task = self._tasks[event.case_id]
                self._rows.reset(task, total=None)
                self._rows.update(task, phase=event.phase, where="", rate="")
            case events.Progress() if event.case_id in self._tasks:
                rate = f"{event.images_per_s:.0f} images/s" if event.images_per_s else ""
                self._rows.update(
                    self._tasks[event.case_id],
                    completed=event.done,
                    total=event.total,
                    phase=event.phase,
                    where=where(event),
                    rate=rate,
                )
            case events.MemoryEventSeen():
                self.note(f"memory: {memory_words(event.memory)}")
            case events.ResourceEventSeen():
                self.note(resource_words(event.resource))
            case events.CaseFinished():
                self._finish(event.record)
            case events.Retrying():
                self.note(f"{event.record.case_id}: {retry_words(event)}")
            case events.Note():
                self.note(event.text)

    def _show(self, case_id: str, number: str, phase: str) -> None:
        self._clear(case_id)
        self._tasks[case_id] = self._rows.add_task(
            case_id, total=None, number=number, phase=phase, where="", rate=""
        )

    def _clear(self, case_id: str) -> None:
        task = self._tasks.pop(case_id, None)
        if task is not None:
            self._rows.remove_task(task)

    def _finish(self, record: model.Record) -> None:
        self._clear(record.case_id)
        mark = _MARKS[record.status.completed]
        self._rows.console.print(f"{mark} {escape(record.case_id)}: {escape(outcome(record))}")

    def note(self, text: str) -> None:
        self._rows.console.print(f"[dim]{escape(text)}[/]")
