"""The clock is read only when the device has nothing left to do, in each framework."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from harness.workload import blocks
from harness.workload.blocks import Block, Pace
from tests.unit.workload.fakes import BATCH, FAKES, Device, Latest, backend_on_fakes

IMAGES = 22


@pytest.fixture(params=FAKES)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def backend(framework: str, device: Device) -> Iterator[Any]:
    with backend_on_fakes(framework, device) as found:
        yield found


@pytest.fixture
def model(device: Device) -> Any:
    bias, metric = Latest(device), Latest(device)
    made = MagicMock()
    made.is_compiled_by_torch = False
    made.layers = [MagicMock(bias=bias)]
    made.trainable_variables = [Latest(device), bias]
    made.non_trainable_variables = [Latest(device)]
    made.optimizer.variables = [Latest(device)]
    made.metrics_variables = [metric]
    made.metrics = [MagicMock(variables=[metric])]
    made.train_step = made.test_step = device.launch
    made.side_effect = device.launch  # calling the model
    made.get_metrics_result.return_value = {}
    return made


@pytest.mark.parametrize("jit", [False, True], ids=["", "jit"])
@pytest.mark.parametrize("kind", ["trainer", "validator", "predictor"])
def test_no_step_is_under_way_when_the_clock_is_read(
    backend: Any, device: Device, model: Any, kind: str, jit: bool
) -> None:
    images = np.zeros((IMAGES, 2), np.float32)
    labels = np.zeros((IMAGES, 10), np.float32)
    if kind == "trainer":
        stepper = backend.trainer(model, (images, labels), BATCH, 0, jit)
    elif kind == "validator":
        stepper = backend.validator(model, (images, labels), BATCH, jit)
    else:
        stepper = backend.predictor(model, images, BATCH, jit)

    result = blocks.run_pass(stepper, 0, Pace(), device.clock, _ignore)

    assert device.launched >= len(result.blocks) + 2  # the first step and the smaller last batch
    assert len(device.readings) > 2 * len(result.blocks)
    assert set(device.readings) == {0}


def test_the_fakes_see_a_clock_that_is_read_too_early(device: Device) -> None:
    device.launch()
    earlier = device.launch()
    device.launch()
    earlier.numpy()
    device.clock()
    assert device.readings == [1]


def _ignore(_step: int, _block: Block) -> None:
    pass
