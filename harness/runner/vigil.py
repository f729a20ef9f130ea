"""A case's limits: how long it may take, and how long it may show no sign of life."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.model import Limits, Status
from harness.runtimes.base import Attempt
from harness.units import human_seconds

LOOKS = 4
"""How often the processor time is asked for within a stall limit, and only in silence."""

IDLE_SHARE = 0.005
"""Processor time over wall time up to which a case counts as idle: an empty wait uses some."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Killed:
    """Why the harness ends a case."""

    status: Status
    reason: str


class Vigil:
    """Watches one attempt against its limits. Output and processor time are signs of life."""

    def __init__(
        self, limits: Limits, cpu_s: Callable[[], float | None], clock: Clock = time.monotonic
    ) -> None:
        self._limits = limits
        self._cpu_s = cpu_s
        self._clock = clock
        self._started = self._alive = self._looked = clock()
        self._used: float | None = None

    @classmethod
    def over(cls, attempt: Attempt, limits: Limits) -> Vigil:
        return cls(limits, attempt.cpu_s)

    def heard(self) -> None:
        """The case has printed something."""
        self._alive = self._looked = self._clock()
        self._used = None

    def over_its_limits(self) -> Killed | None:
        """Why the case has to be ended now, or None."""
        moment = self._clock()
        timeout_s, stall_s = self._limits.timeout_s, self._limits.stall_timeout_s
        if timeout_s is not None and moment - self._started > timeout_s:
            return Killed(Status.TIMEOUT, f"over its time limit of {human_seconds(timeout_s)}")
        if stall_s is None:
            return None
        if moment - self._looked >= stall_s / LOOKS:
            self._look(moment)
        if moment - self._alive <= stall_s:
            return None
        idle = "" if self._used is None else " and next to no processor time"
        return Killed(Status.STALLED, f"no output{idle} for {human_seconds(stall_s)}")

    def _look(self, moment: float) -> None:
        used = self._cpu_s()
        before = self._used
        if (
            used is not None
            and before is not None
            and used - before > IDLE_SHARE * (moment - self._looked)
        ):
            self._alive = moment
        self._used = used
        self._looked = moment
