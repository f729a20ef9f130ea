"""What is kept and told of an attempt's output while it streams."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import InfraError
from harness.events import MemoryEventSeen, OnEvent, PhaseStarted, Progress
from harness.model import MemoryEvent
from harness.probes.logs import LogWatcher, WorkloadEvent
from harness.results.files import told_clearly
from harness.results.run import now
from harness.runtimes.base import Chunk

MAX_LOG = 64 << 20
"""Bytes of a case's output that are kept; all of it is watched."""

MAX_EVENTS = 1000
"""Memory events that are kept for the judge; all of them are counted."""


class Watch:
    """Keeps the log, gathers the memory events, and passes progress up."""

    def __init__(self, case_id: str, log: Path, on_event: OnEvent) -> None:
        self.memory_events: list[MemoryEvent] = []
        self.device: dict[str, Any] | None = None
        self._failures = 0
        self.last_line = ""
        self.started_at = now()
        self._case_id = case_id
        self._on_event = on_event
        with told_clearly(log):
            self._log = log.open("wb", buffering=0)
        self._left = MAX_LOG
        self._watchers: dict[int, LogWatcher] = {}

    @property
    def pressure_events(self) -> int:
        """How often an allocator ran short; what is only told again is not counted again."""
        return max(self._failures, int(bool(self.memory_events)))

    def feed(self, chunk: Chunk) -> None:
        stream, data = chunk
        self._keep(data)
        for event in self._watchers.setdefault(stream, LogWatcher()).feed(data):
            self._take(event)

    def close(self) -> None:
        for _, watcher in sorted(self._watchers.items()):
            for event in watcher.close():
                self._take(event)
            self.last_line = watcher.last_line or self.last_line
        with contextlib.suppress(OSError):
            self._log.close()

    def _keep(self, data: bytes) -> None:
        if self._left <= 0:
            return
        try:
            self._log.write(data[: self._left])
            self._left -= len(data)
            if self._left <= 0:
                self._log.write(b"\n[the harness keeps no more of this output]\n")
        except OSError as error:
            raise InfraError(f"the log could not be written: {error.strerror}") from error

    def _take(self, event: MemoryEvent | WorkloadEvent) -> None:
        if isinstance(event, MemoryEvent):
            self._remember(event)
            self._on_event(MemoryEventSeen(self._case_id, event))
        elif event.data["event"] == "device":
            self.device = event.data
        else:
            progress = _progress(self._case_id, event.data)
            if progress is not None:
                self._on_event(progress)

    def _remember(self, event: MemoryEvent) -> None:
        self._failures += not event.echo
        if len(self.memory_events) < MAX_EVENTS:
            self.memory_events.append(event)


def _progress(case_id: str, data: Mapping[str, Any]) -> PhaseStarted | Progress | None:
    with contextlib.suppress(KeyError, TypeError, ValueError):
        if data["event"] == "phase":
            return PhaseStarted(case_id, str(data["phase"]))
        if data["event"] == "progress":
            epoch, epochs = int(data.get("epoch", 1)), int(data.get("epochs", 1))
            steps = int(data["steps"])
            return Progress(
                case_id=case_id,
                phase=str(data["phase"]),
                epoch=epoch,
                epochs=epochs,
                done=(epoch - 1) * steps + int(data["step"]),
                total=epochs * steps,
                images_per_s=float(data["images_per_s"]),
                sampling=bool(data.get("sampling", False)),
            )
    return None
