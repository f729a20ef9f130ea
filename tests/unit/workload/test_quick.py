"""The quick measure and the warming up, on a fake device."""

from __future__ import annotations

import pytest

from harness.workload import blocks, quick
from harness.workload.backend import Reading
from harness.workload.blocks import Block, Pace, Pass
from harness.workload.heat import heat
from tests.unit.workload.test_blocks import FakeDevice, used


def told(step: int, block: Block) -> None:
    del step, block


def test_a_steady_device_stops_early_with_enough_blocks() -> None:
    device = FakeDevice(images=64 * 2000, batch_size=64, step_s=0.1)
    sample = quick.Sample()
    quick.sample_more(device, sample, used(), device.clock, quick.Span(1000.0), told)
    long_ones = blocks.long_ones(sample.blocks)
    assert len(long_ones) == quick.MIN_BLOCKS
    assert sum(block.seconds for block in sample.blocks) < 30


def test_a_sample_takes_its_least_time_also_where_it_is_precise_before() -> None:
    device = FakeDevice(images=64 * 2000, batch_size=64, step_s=0.1)
    sample = quick.Sample()
    start = device.clock()
    quick.sample_more(device, sample, used(), device.clock, quick.Span(1000.0, 60.0), told)
    assert 60.0 <= device.clock() - start < 70.0


def test_the_budget_holds_where_the_device_is_not_steady() -> None:
    device = FakeDevice(images=64 * 200_000, batch_size=64, step_s=0.1)
    real = device.run
    turns = iter(range(100_000))

    def uneven(steps: int) -> None:
        device._step_s = 0.1 if next(turns) % 2 else 0.3
        real(steps)

    device.run = uneven  # type: ignore[method-assign]
    sample = quick.Sample()
    start = device.clock()
    quick.sample_more(device, sample, used(), device.clock, quick.Span(60.0), told)
    assert 60.0 <= device.clock() - start < 75.0
    assert not quick.precise(sample.blocks)


def test_short_passes_are_gone_through_as_often_as_it_takes() -> None:
    device = FakeDevice(images=64 * 20 + 10, batch_size=64, step_s=0.1)
    sample = quick.Sample()
    quick.sample_more(device, sample, used(), device.clock, quick.Span(60.0), told)
    assert len(blocks.long_ones(sample.blocks)) >= quick.MIN_BLOCKS
    assert len(sample.overheads) >= quick.PARTS
    assert sample.partials == pytest.approx([0.1 * 10 / 64] * len(sample.partials))


def test_the_ends_of_a_pass_are_measured_even_where_no_pass_was_finished() -> None:
    device = FakeDevice(images=64 * 2000 + 32, batch_size=64, step_s=0.1)
    sample = quick.Sample()
    quick.sample_more(device, sample, used(), device.clock, quick.Span(20.0), told)
    assert len(sample.overheads) == quick.PARTS
    assert sample.partials == pytest.approx([0.05] * quick.PARTS)


@pytest.mark.parametrize("images", [32, 64 * 2000])
def test_there_are_blocks_enough_for_an_interval_on_a_device_slower_than_the_budget(
    images: int,
) -> None:
    device = FakeDevice(images=images, batch_size=32, step_s=30.0)
    sample = quick.Sample()
    quick.sample_more(device, sample, Pace(), device.clock, quick.Span(2.0), told)
    assert len(sample.blocks) == quick.LEAST_BLOCKS


def test_a_data_set_of_less_than_a_batch_ends_too() -> None:
    device = FakeDevice(images=10, batch_size=32, step_s=1.0)
    sample = quick.Sample()
    quick.sample_more(device, sample, Pace(), device.clock, quick.Span(2.0), told)
    assert sample.blocks == []
    assert sample.partials == pytest.approx([10 / 32] * quick.PARTS)


def test_a_first_step_that_takes_all_of_the_time_leaves_a_pass_its_blocks() -> None:
    """As in inference, whose one pass is the sample."""
    device = FakeDevice(images=64 * 2000, batch_size=64, step_s=0.1, first_step_s=30.0)

    def suffices(now: Pass) -> bool:
        return quick.enough(now.blocks, now.seconds, quick.Span(3.0))

    done = blocks.run_pass(device, 0, Pace(), device.clock, told, suffices)
    assert done.first_s > 30.0
    assert len(done.blocks) == quick.LEAST_BLOCKS


@pytest.mark.parametrize("count", [10, 12, 20, 40, 200])
def test_the_quantile_is_students(count: int) -> None:
    """Blocks that are just as precise as they must be by the exact quantile, or barely not."""
    from statistics import stdev

    from scipy.stats import t

    shape = [1.0 + (-1) ** n * 0.01 for n in range(count)]
    exact = float(t.ppf(0.975, count - 1)) * stdev(shape) / count**0.5
    for scale, expected in ((0.9, True), (1.02, False)):
        spread = 0.01 * scale * quick.CLOSE / exact
        sample = [Block(1, 64, 2.0 * (1.0 + (-1) ** n * spread)) for n in range(count)]
        assert quick.precise(sample) is expected


def test_the_first_step_is_kept_apart() -> None:
    device = FakeDevice(images=64 * 2000, batch_size=64, step_s=0.1, first_step_s=7.0)
    sample = quick.Sample()
    quick.sample_more(device, sample, Pace(), device.clock, quick.Span(20.0), told)
    assert sample.first_s == pytest.approx(7.1)
    assert max(block.seconds / block.steps for block in sample.blocks) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("total", "asked", "seconds"),
    [(100.0, None, 20.0), (3000.0, None, 90.0), (90_000.0, None, 300.0), (90_000.0, 5.0, 5.0)],
)
def test_budget_is_three_per_cent_within_bounds(
    total: float, asked: float | None, seconds: float
) -> None:
    assert quick.budget(total, asked) == pytest.approx(seconds)


def test_the_projection_counts_training_and_validation() -> None:
    so_far = Pass(blocks=[Block(10, 640, 1.0), Block(10, 640, 1.0)])
    assert quick.projected(so_far, 900, 150, 100) == pytest.approx(100 * 0.1 * (900 + 60))


def test_a_long_save_is_done_once() -> None:
    device = FakeDevice(images=64, batch_size=64, step_s=12.0)

    def save() -> None:
        device.begin(0)
        device.run(1)

    assert len(quick.time_saves(save, device.sync, device.clock)) == 1
    device._step_s = 1.0
    assert len(quick.time_saves(save, device.sync, device.clock)) == quick.PARTS


def test_heating_ends_when_temperature_and_clock_are_flat() -> None:
    device = FakeDevice(images=64 * 100_000, batch_size=64, step_s=0.1)
    start = device.clock()

    def read() -> Reading:
        warm = min(80, 40 + int(device._now - start))
        return warm, 1980 - warm

    found = heat(device, used(), device.clock, read)
    assert found.steady
    assert 80 < found.seconds < 95
    assert found.steps_s == pytest.approx(0.1 * found.steps)
    assert found.temperature_c == 80


def test_the_smaller_batches_that_heating_meets_are_kept() -> None:
    """The first of them pays for what its shape needs: a compiled step is compiled for it."""
    device = FakeDevice(images=64 * 20 + 32, batch_size=64, step_s=0.1)
    found = heat(device, used(), device.clock, lambda: (60, 1500))
    assert found.partials
    assert found.partials == pytest.approx([0.05] * len(found.partials))


def test_heating_gives_up_at_its_limit_and_says_so() -> None:
    device = FakeDevice(images=64 * 100_000, batch_size=64, step_s=0.1)
    clocks = iter(range(10_000))

    def read() -> Reading:
        return 60, 1000 + 300 * (next(clocks) % 2)

    found = heat(device, used(), device.clock, read)
    assert not found.steady
    assert 180 <= found.seconds < 185


def test_a_device_that_tells_nothing_is_not_called_steady() -> None:
    device = FakeDevice(images=64 * 1000, batch_size=64, step_s=0.1)
    found = heat(device, used(), device.clock, lambda: None)
    assert not found.steady
    assert found.temperature_c is None
    assert found.seconds < 10


def test_short_data_sets_are_heated_with_over_and_over() -> None:
    device = FakeDevice(images=64 * 10, batch_size=64, step_s=0.1)
    assert heat(device, used(), device.clock, lambda: (50, 1500)).steady
