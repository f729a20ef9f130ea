"""A case among the machine's processes, and the processor time it has had. Linux."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from harness.host.quota import ROOT, folders
from harness.host.text import counters, number
from harness.probes import cgroup, processes
from harness.probes.telemetry_host import Periods, periods_of


class CaseProcesses:
    """The case whose first process is `pid`; `container` is the whole id of the one it runs in.

    Its groups are looked up once: they do not change, and it is asked several times a second.
    """

    def __init__(self, pid: int, container: str | None = None, root: Path = ROOT) -> None:
        self.pid, self.container, self._root = pid, container, root

    @cached_property
    def memory(self) -> cgroup.MemoryGroup | None:
        """The container's own memory group, where it has one that can be seen."""
        if self.container is None:
            return None
        return cgroup.find(self.pid, self.container, self._root)

    def pids(self) -> set[int]:
        """The processes of the moment; empty where they cannot be seen."""
        if self.container is None:
            return processes.tree(self.pid)
        return self.memory.pids() if self.memory is not None else set()

    def cpu_s(self) -> float | None:
        """Seconds of processor time so far; None where nobody counts it."""
        if self.container is None:
            return processes.cpu_s(self.pid)
        return _counted(self._own_group) if self._own_group is not None else None

    def periods(self) -> Periods:
        """What quotas have done to it; empty where nobody counts it."""
        return periods_of(self._limiting)

    @cached_property
    def _own_group(self) -> Path | None:
        groups = folders("cpuacct", self._root, self.pid)
        return next((one for one in groups if str(self.container) in one.name), None)

    @cached_property
    def _limiting(self) -> tuple[Path, ...]:
        """The groups that hold it back where they have a quota: its own, and those around it.

        Empty where the process of that number is not the container's, as seen from here.
        """
        if self.container is not None and self._own_group is None:
            return ()
        return tuple(folders("cpu", self._root, self.pid))


def _counted(folder: Path) -> float | None:
    """cgroup v1 counts nanoseconds, v2 microseconds."""
    nanoseconds = number(folder / "cpuacct.usage")
    if nanoseconds is not None:
        return nanoseconds / 1e9
    microseconds = counters(folder / "cpu.stat").get("usage_usec")
    return None if microseconds is None else microseconds / 1e6
