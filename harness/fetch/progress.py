"""What is seen of a download, on standard error: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from harness.units import human_bytes

if TYPE_CHECKING:
    from rich.progress import TaskID

LINE_EVERY_S = 10.0


class Display(AbstractContextManager["Display"], Protocol):
    """Shows what `fetch_missing` tells."""

    def note(self, text: str) -> None:
        """Show a line."""

    def on_progress(self, label: str, done: int, total: int) -> None:
        """Show how much of a file is here."""


def display() -> Display:
    """A bar for a terminal, lines for a pipe or a file."""
    return Bar() if sys.stderr.isatty() else Lines()


class EveryTenSeconds:
    """Progress of a file as a line every ten seconds, said through `note`."""

    def __init__(
        self, note: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._note = note
        self._clock = clock
        self._label = ""
        self._last = 0.0

    def __call__(self, label: str, done: int, total: int) -> None:
        moment = self._clock()
        if label != self._label:
            self._label, self._last = label, moment
        elif moment - self._last >= LINE_EVERY_S:
            self._last = moment
            self._note(f"{label}: {human_bytes(done)} of {human_bytes(total)}")


class Lines:
    """Lines that make sense in a log file."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.on_progress = EveryTenSeconds(self.note, clock)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def note(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


class Bar:
    """One bar for the file that is being fetched, with size, speed and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._label = ""
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()

    def note(self, text: str) -> None:
        self._bars.console.print(text, markup=False, soft_wrap=True)

    def on_progress(self, label: str, done: int, total: int) -> None:
        if self._task is None or label != self._label:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._label = label
            self._task = self._bars.add_task(label, total=total)
        self._bars.update(self._task, completed=done)

    def refresh(self) -> None:
        """Draw now rather than at the next tick."""
        self._bars.refresh()
