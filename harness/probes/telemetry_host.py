"""How busy the machine is beside the case, between one look and the next. Linux."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.host.text import counters

Periods = Mapping[Path, tuple[int, int]]
"""By control group: the periods in which its quota was enforced, and those in which it held
processes back."""


@dataclass(frozen=True)
class _Look:
    """Counters of the moment, in seconds."""

    t: float
    busy: float
    steal: float | None
    case: float | None
    harness: float
    periods: Periods


class Host:
    """`case_cpu_s` tells the processor time that the case has used, None where nobody can say;
    `periods` what quotas have done to it.
    """

    def __init__(
        self, case_cpu_s: Callable[[], float | None], periods: Callable[[], Periods]
    ) -> None:
        import psutil

        self._psutil = psutil
        self._threads = psutil.cpu_count() or 1
        self._case_cpu_s, self._periods = case_cpu_s, periods
        self._before = self._look()

    def read(self) -> dict[str, Any]:
        """The fields of a Sample that are the host's, over the time since the last call."""
        before, now = self._before, self._look()
        self._before = now
        whole = (now.t - before.t) * self._threads
        if whole <= 0:
            return {}
        busy, case = now.busy - before.busy, _more(before.case, now.case)
        other = None if case is None else busy - case - (now.harness - before.harness)
        return {
            "cpu": _share(busy, whole),
            "other_cpu": _share(other, whole),
            "steal": _share(_more(before.steal, now.steal), whole),
            "host_memory_used": self._memory(),
            "throttled": throttled(before.periods, now.periods),
        }

    def _look(self) -> _Look:
        times = self._psutil.cpu_times()
        extra = sum(getattr(times, name, 0) for name in ("nice", "irq", "softirq"))
        return _Look(
            t=time.monotonic(),
            busy=times.user + times.system + extra,
            steal=getattr(times, "steal", None),
            case=self._case_cpu_s(),
            harness=time.process_time(),
            periods=self._periods(),
        )

    def _memory(self) -> int:
        memory = self._psutil.virtual_memory()
        return int(memory.total - memory.available)


def _more(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else now - before


def _share(part: float | None, whole: float) -> float | None:
    return None if part is None else min(max(part / whole, 0.0), 1.0)


def throttled(before: Periods, now: Periods) -> float | None:
    """The largest share of a group's periods in which its quota held processes back.

    0 where no quota is in force; None where no group counts.
    """
    shares = []
    for group in before.keys() & now.keys():
        enforced, held = (b - a for a, b in zip(before[group], now[group], strict=True))
        shares.append(min(held / enforced, 1.0) if enforced > 0 else 0.0)
    return max(shares, default=None)


def periods_of(groups: Iterable[Path]) -> Periods:
    """What the quotas of these groups have done; those that do not count are left out."""
    counted = ((group, _counted(group)) for group in groups)
    return {group: periods for group, periods in counted if periods is not None}


def _counted(group: Path) -> tuple[int, int] | None:
    told = counters(group / "cpu.stat")
    if "nr_periods" not in told or "nr_throttled" not in told:
        return None
    return told["nr_periods"], told["nr_throttled"]
