"""From what was seen of an attempt to its status and reason. Pure: one table, top to bottom."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from harness.model import Device, Exit, MemoryEvent, MemoryKind, ResourceEvent, Status
from harness.units import human_bytes

REMEDIES = {
    "shared-memory": "give the container a larger /dev/shm, or load data with fewer processes",
    "disk": "free some space where results and temporary files are written",
    "open-files": "raise the limit on open files (ulimit -n)",
    "processes": "raise the limit on processes and threads (the container's, or ulimit -u)",
    "driver": "update the GPU's driver, or choose an image of an older CUDA",
    "gpu-kernels": "choose an image whose framework was built for this GPU",
    "gpu-lost": "read the kernel's log (dmesg) and restart the machine; "
    "a GPU that fails again is faulty",
    "engine-gpu": "install NVIDIA's container toolkit and restart the engine",
    "gpu-not-seen": "see whether nvidia-smi works here, and choose an image made for this GPU",
}
"""Each resource other than memory, and what to do where it ran short or failed."""

NOT_THE_CASES_FAULT = ("disk", "engine-gpu")
"""Resources whose failure is the machine's: `infra`, and no result of the case."""

FROM_OUTSIDE = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
KERNELS_KILL = "kernel-kill"
"""The rule of the log by which the hand that killed is known: the kernel's own words."""
CRASHES = (signal.SIGILL, signal.SIGFPE, signal.SIGSEGV)


@dataclass(frozen=True)
class Seen:
    """All that the verdict rests on.

    `timing` holds the files of the phases that finished, `pressure_events` how often an allocator
    ran short, `memory_events` the messages of that in their order (only so many are kept).
    `resource` is what the log says of another resource after them, `hint` what means something
    only where a GPU was asked for, `other_error` an error of another kind, printed after all that.
    """

    asked: Device
    exit: Exit
    timing: Mapping[str, Mapping[str, Any]]
    memory_events: tuple[MemoryEvent, ...] = ()
    pressure_events: int = 0
    resource: ResourceEvent | None = None
    hint: ResourceEvent | None = None
    other_error: str | None = None
    last_line: str = ""
    memory_limit: int | None = None
    killed_as: Status | None = None
    trouble: str | None = None
    missing: tuple[str, ...] = field(default=())

    @property
    def finished(self) -> bool:
        return self.exit.code == 0 and not self.missing

    @property
    def failed(self) -> bool:
        """Whether it ended by itself, and not well."""
        return self.exit.code != 0

    @property
    def signal(self) -> int | None:
        """The signal that ended it."""
        code = self.exit.code
        return code - 128 if code is not None and 128 < code < 160 else None

    @property
    def refused(self) -> MemoryEvent | None:
        """The refused allocation that the case may have ended by: the last, and no echo of one."""
        for kinds in ((MemoryKind.HARD, MemoryKind.HOST), (MemoryKind.UNCERTAIN,)):
            events = [event for event in self.memory_events if event.kind in kinds]
            told = [event for event in events if not event.echo] or events
            if told:
                return told[-1]
        return None

    @property
    def short_on_host(self) -> bool:
        """Whether the host's memory was short. A CPU has no other, but for a pool that is named."""
        event = self.refused
        if event is None:
            return False
        unnamed_on_cpu = event.allocator is None and self.asked.kind == "cpu"
        return event.kind is MemoryKind.HOST or unnamed_on_cpu

    @property
    def killed_by_kernel(self) -> bool:
        """Whether the log holds the kernel's word, as the last, that memory was why it killed."""
        return self.refused is not None and self.refused.rule == KERNELS_KILL

    @property
    def lacked(self) -> ResourceEvent | None:
        """The resource other than memory that it lacked, as far as the log tells."""
        return self.resource or (self.hint if self.asked.kind == "gpu" else None)

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


class Verdict(NamedTuple):
    """`resource` names what ran short or failed other than memory."""

    status: Status
    reason: str
    resource: str | None = None


@dataclass(frozen=True)
class Row:
    """When `applies`, the status is `status` and `reason` puts it into words."""

    applies: Callable[[Seen], bool]
    status: Status
    reason: Callable[[Seen], str]
    resource: Callable[[Seen], str | None] = lambda _: None


def judge(seen: Seen) -> Verdict:
    """The first row of the table that applies; where a resource is to blame, with a remedy."""
    row = next(row for row in TABLE if row.applies(seen))
    reason, resource = row.reason(seen), row.resource(seen)
    if resource is not None:
        reason += f"; {REMEDIES[resource]}"
    return Verdict(row.status, reason, resource)


# ------------------------------------------------------------------ in words


def _limit(seen: Seen) -> str:
    return f" of {human_bytes(seen.memory_limit)}" if seen.memory_limit else ""


def _times(seen: Seen) -> str:
    return "once" if seen.pressure_events == 1 else f"{seen.pressure_events} times"


def _ending(seen: Seen) -> str:
    by = f" (signal {seen.signal})" if seen.signal is not None else ""
    quoted = seen.other_error or seen.last_line
    after = f"; {' and '.join(seen.timing)} had finished" if seen.timing else ""
    short = f"; an allocator had run short {_times(seen)}" if seen.pressure_events else ""
    return f"ended with exit code {seen.exit.code}{by}{after}{short}" + (
        f": {quoted}" if quoted else ""
    )


def _killed(seen: Seen) -> str:
    """Who ended it is not known, however short memory was: that is told and decides nothing."""
    short = f"; the host's memory had been short: {_refused(seen)}" if seen.short_on_host else ""
    return f"{_ending(seen)}; someone unknown ended it{short}"


def _quote(event: MemoryEvent) -> str:
    size = f" ({human_bytes(event.requested_bytes)} asked for)" if event.requested_bytes else ""
    return f"{event.line}{size}"


def _refused(seen: Seen) -> str:
    assert seen.refused is not None
    return _quote(seen.refused)


def _pressure(seen: Seen) -> str:
    short = [event for event in seen.memory_events if event.ran_short]
    largest = max(short, key=lambda event: event.requested_bytes or 0)
    return f"an allocator ran short {_times(seen)}, at most: {_quote(largest)}"


def _lacked(seen: Seen) -> str:
    assert seen.lacked is not None
    return seen.lacked.line


def _kind_lacked(seen: Seen) -> str | None:
    return seen.lacked.resource if seen.lacked else None


# ------------------------------------------------------------------ the table

TABLE = (
    Row(
        lambda s: s.killed_as is Status.INTERRUPTED,
        Status.INTERRUPTED,
        lambda s: s.exit.killed_because or "stopped by the user",
    ),
    Row(
        lambda s: s.trouble is not None,
        Status.INFRA,
        lambda s: s.trouble or "",
        lambda s: s.resource.resource if s.resource else None,
    ),
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
    # A file in shared memory that has no room ends its writer so.
    Row(lambda s: s.signal == signal.SIGBUS, Status.FAILED, _ending, lambda _: "shared-memory"),
    Row(
        lambda s: s.signal in FROM_OUTSIDE and not s.killed_by_kernel,
        Status.FAILED,
        _killed,
    ),
    # What the log ends with decides: memory that ran short before and was done without does not.
    Row(lambda s: s.failed and s.other_error is not None, Status.FAILED, _ending),
    Row(
        lambda s: s.failed and s.resource is not None and _kind_lacked(s) in NOT_THE_CASES_FAULT,
        Status.INFRA,
        _lacked,
        _kind_lacked,
    ),
    Row(lambda s: s.failed and s.resource is not None, Status.FAILED, _lacked, _kind_lacked),
    # After a refusal a crash is its end: the first process of a container cannot be aborted
    # otherwise. A suspicion alone does not explain one.
    Row(
        lambda s: (
            s.signal in CRASHES and (s.refused is None or s.refused.kind is MemoryKind.UNCERTAIN)
        ),
        Status.FAILED,
        _ending,
    ),
    Row(
        lambda s: s.failed and s.refused is not None and s.short_on_host,
        Status.OOM_HOST,
        _refused,
    ),
    Row(lambda s: s.failed and s.refused is not None, Status.OOM, _refused),
    Row(lambda s: s.failed and s.lacked is not None, Status.FAILED, _lacked, _kind_lacked),
    Row(lambda s: s.failed, Status.FAILED, _ending),
    Row(
        lambda s: bool(s.missing),
        Status.FAILED,
        lambda s: f"ended with exit code 0 but left no figures of {' and '.join(s.missing)}",
    ),
    Row(
        lambda s: s.wrong_device is not None,
        Status.FAILED,
        lambda s: f"asked for the GPU {s.asked.name or s.asked.uuid}, but {s.wrong_device}",
        lambda _: "gpu-not-seen",
    ),
    Row(lambda s: s.pressure_events > 0, Status.PRESSURE, _pressure),
    Row(lambda _: True, Status.OK, lambda _: ""),
)
