"""The few steps that show whether a batch fits, on a fake device."""

from __future__ import annotations

import pytest

from harness.workload import trial
from tests.unit.workload.test_blocks import FakeDevice


@pytest.mark.parametrize(("step_s", "most"), [(0.001, 1 + 1 + 10), (5.0, 1 + 1 + 1)])
def test_few_steps_and_fewer_where_they_are_slow(step_s: float, most: int) -> None:
    device = FakeDevice(images=64 * 900 + 7, batch_size=64, step_s=step_s)
    done = trial.try_out(device, device.clock)
    assert not done.complete
    assert 1 + sum(block.steps for block in done.blocks) == most
    assert done.partial_s == pytest.approx(step_s * 7 / 64)  # the smaller last batch is run too


def test_a_batch_as_large_as_the_data_is_a_whole_pass() -> None:
    device = FakeDevice(images=64, batch_size=64, step_s=0.1)
    assert trial.try_out(device, device.clock).complete
