"""Timing logic against a fake device whose clock only moves when the device works."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.workload import blocks
from harness.workload.blocks import Block, Pace
from harness.workload.contract import MIN_BLOCK_S


class FakeDevice:
    """A stepper and its clock; steps cost time only when they are waited for."""

    def __init__(self, images: int, batch_size: int, step_s: float, first_step_s: float = 0.0):
        self.images = images
        self.batch_size = batch_size
        self.log: list[str] = []
        self._step_s = step_s
        self._compile_s = first_step_s
        self._now = 100.0
        self._queued = 0.0
        self._done = 0

    def clock(self) -> float:
        self.log.append("clock")
        return self._now

    def begin(self, epoch: int, step: int = 0) -> None:
        self.log.append(f"begin {epoch}")
        self._queued += 0.25
        self._done = step * self.batch_size

    def run(self, steps: int) -> None:
        self.log.append(f"run {steps}")
        for _ in range(steps):
            images = min(self.batch_size, self.images - self._done)
            assert images > 0, "the pass has no further batch"
            self._queued += self._step_s * images / self.batch_size + self._compile_s
            self._compile_s = 0.0
            self._done += images

    def sync(self) -> None:
        self.log.append("sync")
        self._now += self._queued
        self._queued = 0.0

    def metrics(self) -> dict[str, float]:
        self.log.append("metrics")
        return {"accuracy": 0.5}

    def run_pass(self, pace: Pace) -> blocks.Pass:
        return blocks.run_pass(self, 3, pace, self.clock, self._on_block)

    def _on_block(self, step: int, block: Block) -> None:
        self.log.append("told")


def used() -> Pace:
    """The pace of a stepper that has run before."""
    pace = Pace()
    pace.fresh = False
    return pace


def test_clock_is_read_only_directly_after_a_sync() -> None:
    device = FakeDevice(images=1000, batch_size=8, step_s=0.1, first_step_s=3.0)
    device.run_pass(Pace())
    reads = [i for i, entry in enumerate(device.log) if entry == "clock"]
    assert reads
    assert {device.log[i - 1] for i in reads} == {"sync"}


def test_a_block_holds_nothing_but_steps_and_one_sync_at_each_end() -> None:
    device = FakeDevice(images=1000, batch_size=8, step_s=0.1)
    device.run_pass(used())
    for i, entry in enumerate(device.log):
        if entry.startswith("run"):
            assert device.log[i - 2 : i] == ["sync", "clock"]
            assert device.log[i + 1 : i + 3] == ["sync", "clock"]


def test_parts_are_told_apart() -> None:
    device = FakeDevice(images=1004, batch_size=8, step_s=0.1, first_step_s=3.0)
    result = device.run_pass(Pace())
    assert result.overhead_s == pytest.approx(0.25)
    assert result.first_s == pytest.approx(3.1)
    assert result.partial_s == pytest.approx(0.05)
    assert sum(block.steps for block in result.blocks) == 124
    assert sum(block.images for block in result.blocks) == 992
    assert sum(block.seconds for block in result.blocks) == pytest.approx(12.4)
    assert result.seconds == pytest.approx(0.25 + 3.1 + 0.05 + 12.4)
    assert result.metrics == {"accuracy": 0.5}


def test_without_a_first_step_all_full_batches_are_in_blocks() -> None:
    result = FakeDevice(images=800, batch_size=8, step_s=0.1).run_pass(used())
    assert result.first_s == 0.0
    assert result.partial_s == 0.0
    assert sum(block.steps for block in result.blocks) == 100


def test_only_the_very_first_pass_has_a_first_step() -> None:
    device, pace = FakeDevice(images=80, batch_size=8, step_s=0.1, first_step_s=3.0), Pace()
    assert device.run_pass(pace).first_s == pytest.approx(3.1)
    again = device.run_pass(pace)
    assert again.first_s == 0.0
    assert again.seconds == pytest.approx(0.25 + 1.0)


def test_a_pass_of_one_small_batch_is_its_own_first_step() -> None:
    result = FakeDevice(images=5, batch_size=8, step_s=0.8).run_pass(Pace())
    assert result.first_s == pytest.approx(0.5)
    assert result.partial_s == 0.0
    assert result.blocks == []


@given(
    images=st.integers(1, 5000),
    batch_size=st.integers(1, 256),
    step_s=st.floats(1e-4, 5),
    first=st.booleans(),
)
def test_every_image_is_run_once(images: int, batch_size: int, step_s: float, first: bool) -> None:
    device = FakeDevice(images, batch_size, step_s)
    device.run_pass(Pace() if first else used())
    assert device._done == images


@given(step_s=st.floats(1e-3, 0.5))
def test_blocks_become_long_enough_and_stay_so(step_s: float) -> None:
    device = FakeDevice(images=20_000, batch_size=1, step_s=step_s)
    pace = Pace()
    device.run_pass(pace)
    grown = device.run_pass(pace)
    assert all(block.seconds >= MIN_BLOCK_S for block in grown.blocks)
    assert all(block.seconds < 6 * MIN_BLOCK_S for block in grown.blocks)


def test_the_pace_shrinks_on_a_slow_device() -> None:
    pace = Pace()
    pace.learn(Block(steps=4, images=256, seconds=40.0))
    assert pace.next(1000) == 1


def test_a_rest_too_short_for_a_block_joins_the_last_one() -> None:
    pace = Pace()
    pace.learn(Block(steps=10, images=10, seconds=1.25))
    assert pace.next(20) == 10
    assert pace.next(19) == 19


def test_rate_is_all_images_over_all_seconds() -> None:
    assert blocks.rate([Block(1, 10, 1.0), Block(3, 30, 1.0)]) == 20.0
    assert blocks.rate([]) is None
    assert blocks.rate([Block(9, 90, 0.9), Block(1, 10, 1.0)]) == 10.0
