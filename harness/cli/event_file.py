"""``--events``: what is shown is also written, for whoever follows the run from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness import events

if TYPE_CHECKING:
    from harness.console import Display
    from harness.remote.event_lines import EventFile


class Both:
    """What a run tells, to a display and to a file."""

    def __init__(self, shown: Display, file: EventFile) -> None:
        self._shown = shown
        self._file = file

    def on_event(self, event: events.Event) -> None:
        self._file.on_event(event)
        self._shown.on_event(event)

    def note(self, text: str) -> None:
        self._file.note(text)
        self._shown.note(text)


@contextmanager
def also_written(display: Display, path: Path | None) -> Iterator[Display | Both]:
    """The display, which also writes to the file `path` where one is named. Raises InputError."""
    if path is None:
        with display as shown:
            yield shown
        return
    from harness.remote.event_lines import EventFile

    with EventFile(path) as file, display as shown:
        yield Both(shown, file)
