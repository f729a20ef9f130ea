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

from harness import model
from harness.units import human_bytes, human_seconds

LINE_EVERY_S = 10.0

PREDICTED = "≈"

_MARKS = {True: "[green]done[/]", False: "[red]ended[/]"}


class Display(AbstractContextManager["Display"], Protocol):
    """Shows events and notes on standard error; tables go to standard output."""

    def on_event(self, event: model.Event) -> None:
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


def memory_words(event: model.MemoryEvent) -> str:
    """A memory message in a few words."""
    size = human_bytes(event.requested_bytes) if event.requested_bytes else "memory"
    kind = "went on without" if event.kind is model.MemoryKind.RECOVERABLE else "could not get"
    return f"{event.allocator or 'the host'} {kind} {size}"


def where(event: model.Progress) -> str:
    if event.sampling:
        return f"sample, {event.done} of at most {event.total} s"
    if event.epochs is None or event.epochs < 2:
        return f"step {event.done}/{event.total}"
    return f"epoch {event.epoch}/{event.epochs}"


class Lines:
    """Lines that make sense in a log file: starts, ends, and progress every ten seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = 0.0
        self._started = 0.0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def on_event(self, event: model.Event) -> None:
        match event:
            case model.CaseStarted():
                self._started = self._last = self._clock()
                self.note(f"case {event.number}/{event.of}: {event.case_id}")
            case model.PhaseStarted():
                self._started = self._clock()
                self.note(f"  {event.phase}")
            case model.Progress():
                self._progress(event)
            case model.MemoryEventSeen():
                self.note(f"  memory: {memory_words(event.memory)}")
            case model.CaseFinished():
                self.note(f"  {outcome(event.record)}")

    def _progress(self, event: model.Progress) -> None:
        moment = self._clock()
        if moment - self._last < LINE_EVERY_S:
            return
        self._last = moment
        rate = f", {event.images_per_s:.0f} images/s" if event.images_per_s else ""
        left = (event.total - event.done) * (moment - self._started) / max(event.done, 1)
        time_left = "" if event.sampling else f", {human_seconds(left)} left"
        self.note(f"  {event.phase} {where(event)}{rate}{time_left}")

    def note(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads on: the run matters more
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


class Live:
    """One live row for the case that runs, and a line for each that has ended."""

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
        self._task: TaskID | None = None

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

    def on_event(self, event: model.Event) -> None:
        match event:
            case model.CaseStarted():
                number = f"{event.number}/{event.of}"
                self._show(event.case_id, number, "starting")
            case model.PhaseStarted() if self._task is not None:
                self._rows.reset(self._task, total=None)
                self._rows.update(self._task, phase=event.phase, where="", rate="")
            case model.Progress() if self._task is not None:
                rate = f"{event.images_per_s:.0f} images/s" if event.images_per_s else ""
                self._rows.update(
                    self._task,
                    completed=event.done,
                    total=event.total,
                    phase=event.phase,
                    where=where(event),
                    rate=rate,
                )
            case model.MemoryEventSeen():
                self.note(f"memory: {memory_words(event.memory)}")
            case model.CaseFinished():
                self._finish(event.record)

    def _show(self, description: str, number: str, phase: str) -> None:
        self._clear()
        self._task = self._rows.add_task(
            description, total=None, number=number, phase=phase, where="", rate=""
        )

    def _clear(self) -> None:
        if self._task is not None:
            self._rows.remove_task(self._task)
            self._task = None

    def _finish(self, record: model.Record) -> None:
        self._clear()
        mark = _MARKS[record.status.completed]
        self._rows.console.print(f"{mark} {escape(record.case_id)}: {escape(outcome(record))}")

    def note(self, text: str) -> None:
        self._rows.console.print(f"[dim]{escape(text)}[/]")
