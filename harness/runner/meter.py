"""Looks at the memory of a running case from outside, and keeps the most of what it saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from harness.model import Device, Memory
from harness.probes import device_memory, processes
from harness.probes.case import CaseProcesses

LOOK_EVERY_S = 0.5

Gauge = Callable[[], int | None]
"""Bytes at the moment, or at most so far; None where that cannot be told (any more)."""


class Meter:
    """The memory of one attempt. Close it, also where it never began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._look_at = clock()
        self._gauges: dict[str, Gauge] = {}
        self._sampled: set[str] = set()
        self._peaks: dict[str, int] = {}
        self._open = ExitStack()

    def begin(self, case: CaseProcesses | None, device: Device) -> None:
        """Look at `case` on `device` from now on."""
        card = self._open.enter_context(device_memory.opened(device))
        if case is not None and case.memory is not None:
            self.add({"peak_cgroup_bytes": case.memory.used}, sampled=case.memory.sampled)
        elif case is not None and case.container is None:
            self.add({"peak_processes_bytes": lambda: processes.resident(case.pid)})
        if card is not None:
            pids = case.pids if case is not None else set
            self.add({"peak_device_used_bytes": card.used})
            self.add({"peak_device_processes_bytes": lambda: card.used_by(pids())})

    def add(self, gauges: Mapping[str, Gauge], sampled: bool = True) -> None:
        """Gauges by their fields of Memory; `sampled`: they tell the moment, not a peak."""
        self._gauges.update(gauges)
        if sampled:
            self._sampled.update(gauges)

    def look(self) -> None:
        """Read the gauges where it is time to; cheap enough to be called in any loop."""
        if self._clock() >= self._look_at:
            self.read()

    def read(self) -> None:
        """Read the gauges now."""
        self._look_at = self._clock() + LOOK_EVERY_S
        for name, gauge in self._gauges.items():
            value = gauge()
            if value is not None:
                self._peaks[name] = max(value, self._peaks.get(name, 0))

    def memory(self) -> Memory:
        """What was seen."""
        return Memory(**self._peaks, sampled=tuple(sorted(self._sampled & self._peaks.keys())))

    def close(self) -> None:
        self._open.close()
