"""Events as lines of a file: what `--events` writes, and who follows a run elsewhere reads."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, get_args

from harness import events
from harness.errors import InputError

PROGRESS_EVERY_S = 1.0
"""Of one case, no more progress than this is written."""


@cache
def _kinds() -> dict[str, Any]:
    from pydantic import TypeAdapter

    return {kind.__name__: TypeAdapter(kind) for kind in get_args(events.Event)}


def encode(event: events.Event) -> str:
    """One line of JSON, without the newline: ``{"event": its class, "value": its fields}``."""
    name = type(event).__name__
    value = _kinds()[name].dump_json(event).decode()
    return f'{{"event":"{name}","value":{value}}}'


def decode(line: str | bytes) -> events.Event | None:
    """The event in a line; None where there is none that this harness knows."""
    try:
        content = json.loads(line)
        event: events.Event = _kinds()[content["event"]].validate_json(
            json.dumps(content["value"]), strict=False
        )
    except (ValueError, KeyError, TypeError):
        return None
    return event


class EventFile:
    """Appends each event to a file as it comes. A full disk costs the events, never the run."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            self._file: IO[bytes] = path.open("ab", buffering=0)
        except OSError as error:
            raise InputError(f"--events {path} cannot be written: {error.strerror}") from error
        self._clock = clock
        self._last: dict[str, float] = {}
        self._torn = False

    def __enter__(self) -> EventFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Progress):
            now = self._clock()
            if now - self._last.get(event.case_id, -PROGRESS_EVERY_S) < PROGRESS_EVERY_S:
                return
            self._last[event.case_id] = now
        line = encode(event).encode() + b"\n"
        line = b"\n" + line if self._torn else line
        try:
            self._torn = self._file.write(line) != len(line)
        except OSError:
            self._torn = True

    def note(self, text: str) -> None:
        self.on_event(events.Note(text))
