"""What a saved log says, judged as a case is. Reads it in pieces, whatever its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.judge import Seen, Verdict, judge
from harness.model import Device, Exit, MemoryEvent, ResourceEvent
from harness.probes.findings import Findings
from harness.probes.logs import LogEvent, LogWatcher, WorkloadEvent

PIECE = 256 << 10

MAX_LISTED = 1000
"""Events that are listed, the first ones; all of them are counted and weighed."""


@dataclass
class SavedLog:
    """The verdict on a log and the events that it rests on. `left_out`: how many are not listed."""

    verdict: Verdict = field(init=False)
    events: list[MemoryEvent | ResourceEvent] = field(default_factory=list)
    left_out: int = 0


def judge_log(read: Callable[[int], bytes], ended: Exit) -> SavedLog:
    """Judge the log that `read` gives in pieces of at most so many bytes, and b"" at its end.

    With exit code 0 the case counts as completed: a log alone has no timing files to tell.
    """
    log, found, watcher, device = SavedLog(), Findings(), LogWatcher(), Device(kind=None)

    def take(event: LogEvent) -> None:
        nonlocal device
        if isinstance(event, WorkloadEvent):
            device = _device(event) or device
            return
        found.take(event)
        if isinstance(event, MemoryEvent | ResourceEvent):
            if len(log.events) < MAX_LISTED:
                log.events.append(event)
            else:
                log.left_out += 1

    while piece := read(PIECE):
        for event in watcher.feed(piece):
            take(event)
    for event in watcher.close():
        take(event)
    log.verdict = judge(
        Seen(
            asked=device,
            exit=ended,
            timing={},
            memory_events=found.memory_events,
            pressure_events=found.pressure_events,
            resource=found.resource,
            hint=found.hint,
            other_error=found.other_error,
            last_line=watcher.last_line,
        )
    )
    return log


def _device(event: WorkloadEvent) -> Device | None:
    """What the workload computes on, where it says so."""
    kind = event.data.get("kind") if event.data["event"] == "device" else None
    return Device(kind=kind) if isinstance(kind, str) else None
