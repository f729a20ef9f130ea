"""A case's limits on a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model import Limits, Status
from harness.runner.vigil import Killed, Vigil


@dataclass
class Case:
    """A clock, and a case that uses `busy` of a core; None where nobody can tell."""

    busy: float | None
    now: float = 100.0
    used: float = 0.0

    def clock(self) -> float:
        return self.now

    def cpu_s(self) -> float | None:
        return None if self.busy is None else self.used

    def spend(self, vigil: Vigil, seconds: float) -> Killed | None:
        for _ in range(int(seconds)):
            self.now += 1.0
            self.used += self.busy or 0.0
            killed = vigil.over_its_limits()
            if killed is not None:
                return killed
        return None


def vigil(case: Case, **limits: float) -> Vigil:
    return Vigil(Limits(**limits), case.cpu_s, case.clock)  # type: ignore[arg-type]


def test_without_limits_a_case_may_take_for_ever() -> None:
    case = Case(busy=0.0)
    assert case.spend(vigil(case), 100_000) is None


def test_the_time_limit_holds_whatever_the_case_does() -> None:
    case = Case(busy=2.0)
    killed = case.spend(vigil(case, timeout_s=60, stall_timeout_s=10), 1000)
    assert killed == Killed(Status.TIMEOUT, "over its time limit of 1 min 00 s")
    assert case.now == 161.0


def test_silence_without_work_is_a_stall() -> None:
    case = Case(busy=0.001)
    killed = case.spend(vigil(case, stall_timeout_s=20), 1000)
    assert killed == Killed(Status.STALLED, "no output and next to no processor time for 20 s")
    assert case.now == 121.0


def test_silence_at_work_is_none() -> None:
    case = Case(busy=0.5)
    assert case.spend(vigil(case, stall_timeout_s=20), 1000) is None


def test_output_is_a_sign_of_life_and_an_earlier_one_does_not_count_twice() -> None:
    case = Case(busy=0.0)
    watched = vigil(case, stall_timeout_s=20)
    case.spend(watched, 15)
    case.used += 30.0  # worked while it was heard: no sign of life afterwards
    watched.heard()
    killed = case.spend(watched, 1000)
    assert killed is not None
    assert case.now == 136.0


def test_where_processor_time_is_unknown_silence_alone_decides() -> None:
    case = Case(busy=None)
    assert case.spend(vigil(case, stall_timeout_s=20), 1000) == Killed(
        Status.STALLED, "no output for 20 s"
    )
