"""Blocks with and without fetching, on a fake device; and what the host makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.input_cost import input_cost, waits_for_data
from harness.model import Timing
from harness.workload import input_cost as measuring
from harness.workload.blocks import Pace
from tests.unit.workload.test_blocks import FakeDevice


class FakeTrainer(FakeDevice):
    """Fetching takes `fetch_s` of each step; a resident step goes without."""

    def __init__(self, images: int, step_s: float, fetch_s: float) -> None:
        super().__init__(images, 8, step_s + fetch_s)
        self._fetch_s = fetch_s

    def resident(self) -> FakeResident:
        return FakeResident(self)


class FakeResident:
    def __init__(self, trainer: FakeTrainer) -> None:
        self.images = self.batch_size = trainer.batch_size
        self._trainer = trainer

    def begin(self, epoch: int, step: int = 0) -> None:
        raise AssertionError("its passes are the trainer's")

    def run(self, steps: int) -> None:
        self._trainer.log.append(f"resident {steps}")
        self._trainer._queued += steps * (self._trainer._step_s - self._trainer._fetch_s)

    def sync(self) -> None:
        self._trainer.sync()

    def metrics(self) -> dict[str, float]:
        raise AssertionError("nobody asks one for metrics")


def paced(steps: int) -> Pace:
    pace = Pace()
    pace._steps = steps
    return pace


def compared(trainer: FakeTrainer, steps: int) -> dict[str, Any]:
    return measuring.compare(trainer, paced(steps), trainer.clock)


def test_the_ratio_is_what_fetching_leaves() -> None:
    trainer = FakeTrainer(images=8 * 100, step_s=0.05, fetch_s=0.05)
    told = compared(trainer, 20)
    assert [len(blocks) for blocks in told.values()] == [measuring.PAIRS, measuring.PAIRS]
    found = input_cost(told)
    assert found is not None
    assert (*(found.bounds or ()), found.ratio) == pytest.approx((0.5, 0.5, 0.5))
    free = input_cost(compared(FakeTrainer(images=800, step_s=0.05, fetch_s=0.0), 20))
    assert free is not None
    assert free.ratio == pytest.approx(1)


def test_an_ordinary_block_begins_when_what_was_made_ahead_is_used_up() -> None:
    trainer = FakeTrainer(images=8 * 100, step_s=0.05, fetch_s=0.05)
    compared(trainer, 20)
    words = [entry for entry in trainer.log if entry not in ("clock", "sync")]
    turn = ["begin 1", "run 8", "run 20", "resident 20"]
    assert words[: len(turn) + 2] == ["begin 0", "resident 1", "begin 0", *turn[1:]]
    assert words[-1] == "metrics"
    for entry, before in zip(trainer.log[1:], trainer.log, strict=False):
        assert entry != "clock" or before in {"sync", "clock"}


def test_a_block_is_put_together_from_short_passes() -> None:
    """Without their first steps, which may have been made ahead."""
    trainer = FakeTrainer(images=8 * 12, step_s=0.05, fetch_s=0.05)
    told = compared(trainer, 20)
    block = told["ordinary"][0]
    assert (block["steps"], block["images"]) == (20, 160)
    assert block["seconds"] == pytest.approx(2.0)
    words = [entry for entry in trainer.log if entry not in ("clock", "sync")]
    first = ["begin 0", "run 8", "run 4", "begin 1", "run 8", "run 4"]
    assert words[2 : 2 + len(first)] == first
    found = input_cost(told)
    assert found is not None
    assert found.ratio == pytest.approx(0.5)


def test_a_pass_of_one_batch_tells_nothing() -> None:
    told = compared(FakeTrainer(images=8, step_s=0.1, fetch_s=0.1), 20)
    assert told == {"ordinary": [], "resident": []}
    assert input_cost(told) is None


def test_slow_steps_end_it_after_one_pair() -> None:
    told = compared(FakeTrainer(images=800, step_s=20.0, fetch_s=0.0), 1)
    assert len(told["ordinary"]) == 1


def test_blocks_that_became_too_short_are_made_longer() -> None:
    """A pace that was learnt beside a neighbour, who has left."""
    told = compared(FakeTrainer(images=800, step_s=2**-10, fetch_s=2**-10), 20)
    steps = [block["steps"] for block in told["ordinary"]]
    assert steps == [block["steps"] for block in told["resident"]]
    assert steps == [20, 200, 640, 640, 640]
    found = input_cost(told)
    assert found is not None
    assert found.bounds == pytest.approx((0.5, 0.5))


def test_blocks_too_short_to_stand_for_something_do_not_count() -> None:
    short = {"steps": 20, "seconds": 0.02}
    assert input_cost({"ordinary": [short] * 3, "resident": [short] * 3}) is None
    assert input_cost({}) is None


@pytest.mark.parametrize(
    ("bounds", "waits"),
    [
        ((0.5, 0.96), True),
        ((0.5, 0.98), False),  # one pair says the contrary: noise
        ((0.98, 1.02), False),
        (None, None),
    ],
)
def test_it_waits_for_its_data_where_every_pair_says_so(
    bounds: tuple[float, float] | None, waits: bool | None
) -> None:
    intervals = {} if bounds is None else {"input_ratio": bounds}
    assert waits_for_data(Timing(input_ratio=0.5, intervals=intervals)) is waits


@pytest.mark.parametrize(("pairs", "bounds"), [(1, None), (2, None), (3, (0.5, 0.7))])
def test_fewer_than_three_pairs_have_no_bounds(
    pairs: int, bounds: tuple[float, float] | None
) -> None:
    blocks = [{"steps": 4, "seconds": 2.0 * ratio} for ratio in (0.5, 0.7, 0.6)[:pairs]]
    found = input_cost({"ordinary": [{"steps": 4, "seconds": 2.0}] * pairs, "resident": blocks})
    assert found is not None
    assert found.bounds == bounds
