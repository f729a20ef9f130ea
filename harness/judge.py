"""From what was seen of an attempt to its status and reason. Pure: one table, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model import Device, Exit, MemoryEvent, MemoryKind, Status
from harness.units import human_bytes


@dataclass(frozen=True)
class Seen:
    """All that the verdict rests on.

    `timing` holds the files of the phases that finished, `pressure_events` how often an allocator
    ran short, `memory_events` the messages of that (only so many are kept).
    """

    asked: Device
    exit: Exit
    timing: Mapping[str, Mapping[str, Any]]
    memory_events: tuple[MemoryEvent, ...] = ()
    pressure_events: int = 0
    last_line: str = ""
    memory_limit: int | None = None
    killed_as: Status | None = None
    trouble: str | None = None
    missing: tuple[str, ...] = field(default=())

    @property
    def finished(self) -> bool:
        return self.exit.code == 0 and not self.missing

    def of_kind(self, kind: MemoryKind) -> list[MemoryEvent]:
        return [event for event in self.memory_events if event.kind is kind]

    @property
    def wrong_device(self) -> str | None:
        """The device a phase really ran on, where it was the CPU and a GPU was asked for."""
        for phase, figures in self.timing.items():
            ran = figures.get("device", {})
            if self.asked.kind == "gpu" and ran.get("kind") != "gpu":
                return (
                    f"{phase} computed on {ran.get('name') or ran.get('kind') or 'nothing known'}"
                )
        return None


Verdict = tuple[Status, str]


@dataclass(frozen=True)
class Row:
    """When `applies`, the status is `status` and `reason` puts it into words."""

    applies: Callable[[Seen], bool]
    status: Status
    reason: Callable[[Seen], str]


def _limit(seen: Seen) -> str:
    return f" of {human_bytes(seen.memory_limit)}" if seen.memory_limit else ""


def _ending(seen: Seen) -> str:
    code = seen.exit.code
    signal = f" (signal {code - 128})" if code is not None and 128 < code < 160 else ""
    quoted = f": {seen.last_line}" if seen.last_line else ""
    after = f"; {' and '.join(seen.timing)} had finished" if seen.timing else ""
    return f"ended with exit code {code}{signal}{after}{quoted}"


def _quote(event: MemoryEvent) -> str:
    size = f" ({human_bytes(event.requested_bytes)} asked for)" if event.requested_bytes else ""
    return f"{event.line}{size}"


def _largest(events: list[MemoryEvent]) -> MemoryEvent:
    return max(events, key=lambda event: event.requested_bytes or 0)


def _pressure(seen: Seen) -> str:
    times = "once" if seen.pressure_events == 1 else f"{seen.pressure_events} times"
    return f"an allocator ran short {times}, at most: {_quote(_largest(list(seen.memory_events)))}"


TABLE = (
    Row(
        lambda s: s.killed_as is Status.INTERRUPTED,
        Status.INTERRUPTED,
        lambda s: s.exit.killed_because or "stopped by the user",
    ),
    Row(lambda s: s.trouble is not None, Status.INFRA, lambda s: s.trouble or ""),
    Row(
        lambda s: s.exit.oom_killed and not s.finished,
        Status.OOM_HOST,
        lambda s: f"the kernel killed it at the container's memory limit{_limit(s)}",
    ),
    Row(
        lambda s: s.killed_as is Status.TIMEOUT,
        Status.TIMEOUT,
        lambda s: s.exit.killed_because or "over its time limit",
    ),
    Row(
        lambda s: s.killed_as is Status.STALLED,
        Status.STALLED,
        lambda s: s.exit.killed_because or "no sign of life",
    ),
    Row(
        lambda s: not s.finished and bool(s.of_kind(MemoryKind.HARD)),
        Status.OOM,
        lambda s: _quote(_largest(s.of_kind(MemoryKind.HARD))),
    ),
    Row(
        lambda s: not s.finished and bool(s.of_kind(MemoryKind.HOST)),
        Status.OOM_HOST,
        lambda s: _quote(_largest(s.of_kind(MemoryKind.HOST))),
    ),
    Row(lambda s: s.exit.code != 0, Status.FAILED, _ending),
    Row(
        lambda s: bool(s.missing),
        Status.FAILED,
        lambda s: f"ended with exit code 0 but left no figures of {' and '.join(s.missing)}",
    ),
    Row(
        lambda s: s.wrong_device is not None,
        Status.FAILED,
        lambda s: f"asked for the GPU {s.asked.name or s.asked.uuid}, but {s.wrong_device}",
    ),
    Row(lambda s: s.pressure_events > 0, Status.PRESSURE, _pressure),
    Row(lambda _: True, Status.OK, lambda _: ""),
)


def judge(seen: Seen) -> Verdict:
    """The first row of the table that applies."""
    row = next(row for row in TABLE if row.applies(seen))
    return row.status, row.reason(seen)
