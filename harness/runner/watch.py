"""What is kept and told of an attempt's output while it streams."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import InfraError
from harness.events import MemoryEventSeen, OnEvent, PhaseStarted, Progress, ResourceEventSeen
from harness.model import MemoryEvent, MemoryKind, ResourceEvent
from harness.probes.findings import Findings
from harness.probes.logs import LogEvent, LogWatcher, WorkloadEvent
from harness.results.files import told_clearly
from harness.results.run import now
from harness.runtimes.base import Chunk

MAX_LOG = 64 << 20
"""Bytes of a case's output that are kept; all of it is watched."""

MAX_TOLD = 1000
"""Messages of a case about memory and resources that are passed up; all of them are counted."""


class Watch:
    """Keeps the log, gathers what it says of memory and resources, and passes progress up."""

    def __init__(self, case_id: str, log: Path, on_event: OnEvent) -> None:
        self.findings = Findings()
        self.device: dict[str, Any] | None = None
        self._told = 0
        self.last_line = ""
        self.started_at = now()
        self._case_id = case_id
        self._on_event = on_event
        with told_clearly(log):
            self._log = log.open("wb", buffering=0)
        self._left = MAX_LOG
        self._watchers: dict[int, LogWatcher] = {}

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

    def _take(self, event: LogEvent) -> None:
        if not isinstance(event, WorkloadEvent):
            self.findings.take(event)
            self._tell(event)
        elif event.data["event"] == "device":
            self.device = event.data
        else:
            progress = _progress(self._case_id, event.data)
            if progress is not None:
                self._on_event(progress)

    def _tell(self, event: LogEvent) -> None:
        told = _message(self._case_id, event)
        if told is not None and self._told < MAX_TOLD:
            self._told += 1
            self._on_event(told)


def _message(case_id: str, event: LogEvent) -> MemoryEventSeen | ResourceEventSeen | None:
    """What is worth telling while the case runs: notices and hints may mean nothing."""
    if isinstance(event, MemoryEvent) and event.kind is not MemoryKind.NOTICE:
        return MemoryEventSeen(case_id, event)
    if isinstance(event, ResourceEvent) and not event.hint:
        return ResourceEventSeen(case_id, event)
    return None


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
