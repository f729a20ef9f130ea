"""The container's log, bytes in and values out: what it says of memory and other resources.

Pure and incremental; memory stays bounded however long a line is, and the same bytes give the same
events however they are cut into chunks. What counts stands in rules.toml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.probes import suspects
from harness.probes.reading import Said, printable, read
from harness.workload import contract

MAX_LINE = 16 * 1024
"""A longer line is taken as several of this many bytes."""

_EVENT = contract.EVENT_PREFIX.encode()
_NOISE = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and movements
    rb"|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # titles, links
    rb"|\x1b[@-Z\\-_]?"
    rb"|\x00+"
)


@dataclass(frozen=True)
class WorkloadEvent:
    """What the workload said of its progress."""

    data: dict[str, Any]


LogEvent = Said | WorkloadEvent


class LogWatcher:
    """Feed it the chunks of one stream as they come; it yields events as their lines end."""

    def __init__(self) -> None:
        self._pending = b""
        self._offset = 0  # of the pending bytes, in the stream
        self._last = b""

    def feed(self, chunk: bytes) -> Iterator[LogEvent]:
        """The events of the lines that end in `chunk`."""
        if b"\r" in chunk:  # a progress bar writes its line again and again
            chunk = chunk.replace(b"\r", b"\n")
        data = self._pending + chunk
        start = 0
        while (end := _end_of_block(data, start)) > start:
            yield from self._block(data[start:end])
            start = end
        self._pending = data[start:]

    def close(self) -> Iterator[LogEvent]:
        """The events of a last line that has no end."""
        if self._pending:
            yield from self._block(self._pending)
            self._pending = b""

    @property
    def last_line(self) -> str:
        """The last line that says something and is no event: how a failure is quoted."""
        return printable(self._last)

    def _block(self, raw: bytes) -> Iterator[LogEvent]:
        """The events of some whole lines."""
        begins, self._offset = self._offset, self._offset + len(raw)
        noisy = b"\x1b" in raw or b"\x00" in raw
        block = _NOISE.sub(b"", raw) if noisy else raw
        self._last = _last_line(block) or self._last
        for start, end, needles in suspects.lines(block):
            line = block[start:end]
            if not needles:
                yield from _workload_event(line)
            if line.startswith(_EVENT):
                continue
            place = _same_line(raw, block.count(b"\n", 0, start)) if noisy else start
            if said := read(line, needles, begins + place):
                yield from said


def _end_of_block(data: bytes, start: int) -> int:
    """Where the last line ends that `MAX_LINE` bytes hold; `start` where none does yet."""
    limit = start + MAX_LINE
    end = data.rfind(b"\n", start, limit)
    if end >= 0:
        return end + 1
    return limit if len(data) >= limit else start


def _same_line(raw: bytes, number: int) -> int:
    """Where line `number` of `raw` begins."""
    place = 0
    for _ in range(number):
        place = raw.index(b"\n", place) + 1
    return place


def _last_line(block: bytes) -> bytes:
    """The last line of `block` that is neither empty nor the workload's; b"" if there is none."""
    end = len(block)
    while end > 0:
        start = block.rfind(b"\n", 0, end) + 1
        line = block[start:end]
        if line and not line.isspace() and not line.startswith(_EVENT):
            return line
        end = start - 1
    return b""


def _workload_event(line: bytes) -> Iterator[WorkloadEvent]:
    try:
        event = contract.parse_event(line.decode("utf-8", "replace"))
    except RecursionError:  # braces without end
        return
    if event is not None:
        yield WorkloadEvent(event)


def classify(line: bytes) -> list[LogEvent]:
    """What one line says; nothing, for most lines."""
    watcher = LogWatcher()
    return [*watcher.feed(line), *watcher.close()]
