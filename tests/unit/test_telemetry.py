"""What samples of a card and its machine come to."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.disturbance import disturbance, limited_by
from harness.analysis.telemetry import COLUMNS, Sample, energy_over, summed_up
from harness.model import Device, Disturbed
from harness.probes.telemetry import Sampler, Subject, _cell, samples_of
from harness.probes.telemetry_host import Host, periods_of, throttled
from harness.runner.sampling import answers

QUIET = Sample(
    t=0.0, utilisation=0.9, reasons=0, own=1, foreign=0, cpu=0.3, other_cpu=0.01, steal=0.0
)


def twenty(sample: Sample = QUIET) -> list[Sample]:
    return [replace(sample, t=n / 5) for n in range(20)]


# ------------------------------------------------------------------ disturbed


@pytest.mark.parametrize(
    ("sample", "on_gpu", "expected", "why"),
    [
        (QUIET, True, Disturbed.NO, ()),
        (replace(QUIET, foreign=1), True, Disturbed.YES, ("other processes were on the GPU",)),
        (replace(QUIET, other_cpu=0.3), True, Disturbed.YES, ("other processes used 30%",)),
        (
            replace(QUIET, steal=0.05),
            True,
            Disturbed.YES,
            ("the virtual machine's host took 5.0%",),
        ),
        (replace(QUIET, throttled=0.2), True, Disturbed.YES, ("a quota held",)),
        (replace(QUIET, own=0), True, Disturbed.UNKNOWN, ("the GPU's processes cannot be seen",)),
        # In a container the case's own process may be listed by another number.
        (replace(QUIET, own=0, foreign=1), True, Disturbed.UNKNOWN, ("the GPU's processes",)),
        (replace(QUIET, own=None, foreign=None), False, Disturbed.NO, ()),
        (replace(QUIET, other_cpu=None), False, Disturbed.UNKNOWN, ("the processors' other load",)),
        (
            replace(QUIET, own=None, foreign=None, steal=0.1),
            True,
            Disturbed.YES,
            ("the virtual machine's host",),
        ),
        (
            replace(QUIET, foreign=2, throttled=0.5),
            True,
            Disturbed.YES,
            ("other processes were", "a quota held"),
        ),
    ],
)
def test_disturbed(sample: Sample, on_gpu: bool, expected: Disturbed, why: tuple[str, ...]) -> None:
    found = disturbance(twenty(sample), on_gpu)
    assert found.disturbed is expected
    assert len(found.reasons) == len(why)
    assert all(reason.startswith(w) for reason, w in zip(found.reasons, why, strict=True))


def test_a_throttled_card_is_not_disturbed() -> None:
    hot = twenty(replace(QUIET, reasons=0x20))
    assert disturbance(hot, on_gpu=True).disturbed is Disturbed.NO
    assert limited_by(hot) == {"thermal": 1.0}


def test_somebody_who_looks_at_the_card_for_a_moment_disturbs_nothing() -> None:
    samples = twenty() * 10
    samples[7] = replace(samples[7], foreign=1)
    assert disturbance(samples, on_gpu=True).disturbed is Disturbed.NO


def test_too_few_samples_say_nothing() -> None:
    assert disturbance(twenty()[:4], on_gpu=True).disturbed is Disturbed.UNKNOWN


# ------------------------------------------------------------------ limited by


def test_shares_of_the_time_under_load_the_largest_first() -> None:
    power, both = replace(QUIET, reasons=0x4), replace(QUIET, reasons=0x4 | 0x40)
    idle = replace(QUIET, utilisation=0.0, reasons=0x1)
    samples = [power, both, both, QUIET, idle, idle]
    assert limited_by(samples * 2) == {"power": 0.75, "thermal": 0.5}
    assert limited_by(samples) is None  # too few under load
    assert limited_by([QUIET] * 5) == {}
    assert limited_by([idle] * 5) is None
    assert limited_by([replace(QUIET, reasons=None)] * 5) is None


# ------------------------------------------------------------------ energy, and the summary


def test_energy_by_the_counter_which_may_start_anew() -> None:
    samples = [Sample(t=n, energy_j=j) for n, j in enumerate([100.0, 150.0, 5.0, 25.0])]
    assert energy_over(samples, [(0, 3)]) == (70.0, "counter")


def test_energy_by_power_over_time_where_there_is_no_counter() -> None:
    samples = [Sample(t=0, power_w=100), Sample(t=1), Sample(t=2, power_w=200)]
    assert energy_over(samples, [(0, 2)]) == (300, "power")
    assert energy_over([Sample(t=0), Sample(t=1)], [(0, 1)]) == (None, None)


def test_energy_of_the_training_blocks_only() -> None:
    samples = [Sample(t=n, energy_j=100.0 * n) for n in range(11)]
    assert energy_over(samples, [(1.25, 2.25), (4, 4.5)]) == (pytest.approx(150), "counter")
    assert energy_over(samples, []) == (None, None)
    assert summed_up(samples, [(1.25, 2.25)], images=640).energy_images == 640
    assert summed_up(samples).energy_images is None


def test_blocks_by_another_clock_have_no_energy() -> None:
    samples = [Sample(t=n, energy_j=100.0 * n) for n in range(11)]
    assert energy_over(samples, [(1, 2), (5000, 5001)]) == (None, None)
    assert energy_over(samples, [(9.5, 10.5)]) == (None, None)


@given(
    st.lists(st.floats(0.01, 10), min_size=1, max_size=20),
    st.lists(st.floats(0, 1), min_size=2, max_size=6),
)
def test_parts_of_the_time_draw_together_what_the_whole_draws(
    steps: list[float], cuts: list[float]
) -> None:
    times = list(accumulate(steps, initial=0.0))
    samples = [Sample(t=t, energy_j=7 * t * t) for t in times]
    ends = sorted({0.0, times[-1], *(cut * times[-1] for cut in cuts)})
    parts, _ = energy_over(samples, list(pairwise(ends)))
    whole, _ = energy_over(samples, [(0.0, times[-1])])
    assert parts == pytest.approx(whole)


def test_clocks_and_the_link_count_under_load_only() -> None:
    idle = Sample(t=0, utilisation=0.0, sm_mhz=300, pcie_generation=1, temperature_c=40)
    busy = Sample(t=2, utilisation=1.0, sm_mhz=1800, pcie_generation=4, temperature_c=80)
    found = summed_up([idle, replace(idle, t=1), busy])
    assert (found.samples, found.seconds) == (3, 2)
    assert (found.sm_mhz, found.sm_mhz_lowest, found.pcie_generation) == (1800, 1800, 4)
    assert found.utilisation == pytest.approx(1 / 3)
    assert found.temperature_c_peak == 80
    assert summed_up([]).samples == 0


# ------------------------------------------------------------------ the sampler without a card


def test_a_case_on_the_processor_is_sampled_into_a_file_that_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.csv"
    sampler = Sampler(Subject(Device(kind="cpu")), path, hz=100)
    sampler.start()
    sampler._thread.join(1.0)
    sampler.stop()
    samples = list(samples_of(path))
    assert len(samples) >= 5
    assert all(a.t < b.t for a, b in pairwise(samples))
    assert samples[-1].utilisation is None
    assert samples[-1].host_memory_used
    with path.open("a") as file:
        file.write("12.5,0.")  # torn
    assert list(samples_of(path)) == samples
    assert path.read_text().partition("\n")[0] == ",".join(COLUMNS)


def test_samples_of_a_machine_that_has_just_started_are_told_apart() -> None:
    assert _cell("t", 123.4562) != _cell("t", 123.4564)
    assert float(_cell("energy_j", 123456.789)) == 123456.789
    assert (_cell("cpu", 1 / 3), _cell("cpu", None), _cell("own", 2)) == ("0.333333", "", "2")


def test_a_file_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    sampler = Sampler(Subject(Device(kind="cpu")), tmp_path / "not-there" / "telemetry.csv")
    sampler.start()
    sampler.stop()


@pytest.mark.parametrize(("case_s", "other"), [(0.0, 1.0), (4.0, 0.6), (10.0, 0.0), (1e9, 0.0)])
def test_the_cases_own_time_is_no_other_load(case_s: float, other: float) -> None:
    """Ten seconds in which one processor's worth was busy, on as many as there are."""
    used = iter([0.0, case_s])
    host = Host(case_cpu_s=lambda: next(used), periods=dict)
    before = host._before
    now = replace(before, t=before.t + 10, busy=before.busy + 10, case=case_s)
    host._look = lambda: now  # type: ignore[method-assign]
    found = host.read()
    assert found["cpu"] == pytest.approx(1 / host._threads)
    assert found["other_cpu"] == pytest.approx(other / host._threads)
    assert found["throttled"] is None


def test_other_load_is_unknown_where_the_cases_own_is() -> None:
    host = Host(case_cpu_s=lambda: None, periods=dict)
    time.sleep(0.02)
    assert host.read()["other_cpu"] is None


def test_periods_in_which_a_quota_held_it_back(tmp_path: Path) -> None:
    """Each group by itself: what the one around it counted before is none of the case's."""
    own, around = tmp_path / "own", tmp_path / "around"
    for group, text in ((own, "nr_periods 10\nnr_throttled 0\n"), (around, "nr_periods 0\n")):
        group.mkdir()
        (group / "cpu.stat").write_text("usage_usec 9\n" + text)
    before = periods_of([own, around, tmp_path / "gone"])
    assert before == {own: (10, 0)}
    (own / "cpu.stat").write_text("nr_periods 20\nnr_throttled 5\nthrottled_time 9\n")
    (around / "cpu.stat").write_text("nr_periods 900\nnr_throttled 900\n")
    assert throttled(before, periods_of([own, around])) == 0.5
    assert throttled(before, before) == 0.0
    assert throttled({}, before) is None


def test_a_call_that_hangs_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.probes.telemetry.PATIENCE_S", 0.05)
    hangs = threading.Event()

    def never() -> float | None:
        hangs.wait(5)
        return None

    sampler = Sampler(Subject(Device(kind="cpu"), cpu_s=never), tmp_path / "telemetry.csv")
    sampler.start()
    began = time.monotonic()
    sampler.stop()
    assert time.monotonic() - began < 2
    hangs.set()


@pytest.mark.parametrize("text", ["t,utilisation\n1,0.5\n", "\0\n", "", "t\n"])
def test_a_file_that_is_none_of_ours_holds_no_samples(tmp_path: Path, text: str) -> None:
    (tmp_path / "telemetry.csv").write_text(text)
    found = answers(tmp_path, Device(kind="cpu"), {})
    assert found["telemetry"] is None
    assert found["disturbed"] is Disturbed.UNKNOWN


def test_cases_beside_it_are_no_strangers() -> None:
    busy = twenty(replace(QUIET, other_cpu=0.5))
    assert disturbance(busy, on_gpu=True).disturbed is Disturbed.YES
    beside = disturbance(busy, on_gpu=True, alone=False)
    assert beside.disturbed is Disturbed.UNKNOWN
    assert "the cases beside it" in beside.reasons[0]
