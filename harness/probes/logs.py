"""The container's log, bytes in and values out: memory events and the workload's own events.

Pure and incremental; memory stays bounded however long a line is. Rules match on the message,
never on a path or line number, since those change from one TensorFlow to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.model import MemoryEvent, MemoryKind
from harness.workload import contract

MAX_LINE = 64 * 1024
"""Bytes of a line that are looked at; what is longer is no allocator message."""


@dataclass(frozen=True)
class WorkloadEvent:
    """What the workload said of its progress."""

    data: dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """`needle` is a cheap test before the pattern; named groups: allocator, size, bytes."""

    id: str
    kind: MemoryKind
    needle: bytes
    pattern: re.Pattern[str]
    source: str
    echo: bool = False


_SIZE = r"(?P<size>\d+(?:[.,]\d+)?\s?(?:[KMGT]i?)?B)"

RULES = (
    Rule(
        "bfc-recoverable",
        MemoryKind.RECOVERABLE,
        b"ran out of memory trying to allocate",
        re.compile(
            r"Allocator \((?P<allocator>[^)]*)\) ran out of memory trying to allocate "
            + _SIZE
            + r".*The caller indicates that this is not a failure"
        ),
        "TensorFlow bfc_allocator.cc, AllocateRawInternalWithRetry",
    ),
    Rule(
        "bfc-hard",
        MemoryKind.HARD,
        b"ran out of memory trying to allocate",
        re.compile(
            r"Allocator \((?P<allocator>[^)]*)\) ran out of memory trying to allocate "
            + _SIZE
            + r"(?: \(rounded to (?P<bytes>\d+)\))?\s?requested by op"
        ),
        "TensorFlow bfc_allocator.cc, AllocateRaw after its retries",
    ),
    Rule(
        "resource-exhausted",
        MemoryKind.HARD,
        b"OOM when allocating tensor",
        re.compile(r"OOM when allocating tensor with shape.*by allocator (?P<allocator>\S+)"),
        "TensorFlow op_kernel.cc and the Python error of the same text",
        echo=True,
    ),
    Rule(
        "python-memory-error",
        MemoryKind.HOST,
        b"MemoryError",
        re.compile(r"^(?:numpy\.\S*)?_?(?:Array)?MemoryError(?::|$)"),
        "CPython and numpy: the host refused an allocation",
    ),
    Rule(
        "bad-alloc",
        MemoryKind.HOST,
        b"std::bad_alloc",
        re.compile(r"std::bad_alloc"),
        "the C++ library: the host refused an allocation",
    ),
)

HOST_ALLOCATORS = ("cpu", "mklcpu")
"""TensorFlow's allocators over the host's own malloc; its size-capped pools are named bfc…."""

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_size(text: str) -> int:
    """Bytes of a size as allocators print it: ``3.42GiB``, ``4,52GiB``, ``512B``."""
    match = re.fullmatch(r"(\d+(?:[.,]\d+)?)\s?([KMGT]?)i?B", text)
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    return round(float(match[1].replace(",", ".")) * _UNITS[match[2]])


class LogWatcher:
    """Feed it chunks as they come, in any cut; it yields events at the end of each line."""

    def __init__(self) -> None:
        self._last = b""
        self._line = bytearray()

    def feed(self, chunk: bytes) -> Iterator[MemoryEvent | WorkloadEvent]:
        """The events of the lines that end in `chunk`."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            yield from self._end_of_line()
            start = end + 1
        self._keep(chunk[start:])

    def close(self) -> Iterator[MemoryEvent | WorkloadEvent]:
        """The events of a last line that has no end."""
        yield from self._end_of_line()

    @property
    def last_line(self) -> str:
        """The last line that says something and is no event: how a failure is quoted."""
        return self._last[:1000].decode("utf-8", "replace").strip()

    def _keep(self, part: bytes) -> None:
        self._line += part[: MAX_LINE - len(self._line)]

    def _end_of_line(self) -> Iterator[MemoryEvent | WorkloadEvent]:
        raw = bytes(self._line)
        self._line.clear()
        found = classify(raw)
        if found is not None:
            yield found
        if not isinstance(found, WorkloadEvent) and not raw.isspace() and raw:
            self._last = raw


def classify(raw: bytes) -> MemoryEvent | WorkloadEvent | None:
    """What one line says, or None for most lines."""
    if raw.startswith(contract.EVENT_PREFIX.encode()):
        event = contract.parse_event(raw.decode("utf-8", "replace").rstrip("\r"))
        return WorkloadEvent(event) if event is not None else None
    for rule in RULES:
        if rule.needle in raw:
            text = raw.decode("utf-8", "replace").strip()
            match = rule.pattern.search(text)
            if match is not None:
                return _memory_event(rule, match, text)
    return None


def _memory_event(rule: Rule, match: re.Match[str], text: str) -> MemoryEvent:
    groups = match.groupdict()
    size: int | None = None
    if groups.get("bytes"):
        size = int(groups["bytes"])
    elif groups.get("size"):
        size = parse_size(groups["size"])
    allocator = groups.get("allocator")
    kind = MemoryKind.HOST if allocator in HOST_ALLOCATORS else rule.kind
    return MemoryEvent(kind, rule.id, text[:1000], allocator, size, rule.echo)
