"""The clock is read only when the device has nothing left to do, in each framework.

Recording fakes stand in for Keras and the framework: what is launched and what is waited for goes
into one list, together with the clock's readings. Their launches never wait, as a GPU's do not.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from harness.workload import blocks
from harness.workload.blocks import Block, Pace

IMAGES, BATCH = 22, 4
BLOCK_AFTER_S = 0.4


class Device:
    """A device that runs `launched` steps behind Python's back until somebody waits for it."""

    def __init__(self) -> None:
        self.launched = 0
        self.finished = 0
        self.readings: list[int] = []
        """Steps that were not finished when the clock was read."""
        self._time = itertools.count()

    def launch(self, *_: Any, **__: Any) -> Result:
        self.launched += 1
        return Result(self, self.launched)

    def wait(self, step: int | None = None) -> None:
        """Until `step` is done, or all."""
        self.finished = max(self.finished, self.launched if step is None else step)

    def clock(self) -> float:
        self.readings.append(self.launched - self.finished)
        return next(self._time) * BLOCK_AFTER_S


class Result:
    """What a step computes: reading it waits for that step, and for no later one."""

    def __init__(self, device: Device, step: int) -> None:
        self._device = device
        self._step = step

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def numpy(self) -> Any:
        self._device.wait(self._step)
        return np.zeros((BATCH, 10), np.float32)

    def detach(self) -> Result:
        return self

    cpu = detach


class Latest:
    """A variable: what is read is what the last step launched until now has written."""

    def __init__(self, device: Device) -> None:
        self._device = device

    @property
    def value(self) -> Result:
        return Result(self._device, self._device.launched)

    def numpy(self) -> Any:
        return self.value.numpy()

    def assign(self, value: Any) -> None:
        """Nothing to keep."""


def fake_tensorflow(device: Device) -> dict[str, Any]:
    tensorflow = MagicMock()
    # The graph of a whole block is one launch.
    tensorflow.function = lambda *_, **__: device.launch
    tensorflow.convert_to_tensor = lambda variable: variable
    tensorflow.Variable = lambda *_, **__: Latest(device)
    return {"tensorflow": tensorflow}


def fake_jax(device: Device) -> dict[str, Any]:
    jax = MagicMock()

    def jit(_step: Any, donate_argnums: int | None = None) -> Callable[..., Any]:
        def call(state: Any, *_: Any, **__: Any) -> Any:
            result = device.launch()
            if donate_argnums is None:
                return result
            return tuple([result] * len(group) for group in state)

        return call

    jax.jit = jit
    return {"jax": jax, "jaxlib": MagicMock()}


def fake_torch(device: Device) -> dict[str, Any]:
    torch = MagicMock()
    torch.no_grad = lambda: lambda step: step
    torch.cuda.is_available = lambda: True
    torch.cuda.synchronize = device.wait
    return {"torch": torch}


FAKES = {"tensorflow": fake_tensorflow, "jax": fake_jax, "torch": fake_torch}


@pytest.fixture(params=FAKES)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def backend(framework: str, device: Device, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The framework's real backend, imported on top of the fakes."""
    keras = MagicMock(__version__="3.9.0")
    for name, module in {"keras": keras, **FAKES[framework](device)}.items():
        monkeypatch.setitem(sys.modules, name, module)
    ours = [f"harness.workload.{name}" for name in ("keras_api", f"{framework}_backend")]
    for name in ours:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(ours[-1]).BACKEND
    for name in ours:
        sys.modules.pop(name, None)


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


@pytest.mark.parametrize("kind", ["trainer", "validator", "predictor"])
def test_no_step_is_under_way_when_the_clock_is_read(
    backend: Any, device: Device, model: Any, kind: str
) -> None:
    images = np.zeros((IMAGES, 2), np.float32)
    labels = np.zeros((IMAGES, 10), np.float32)
    if kind == "trainer":
        stepper = backend.trainer(model, (images, labels), BATCH, 0, False)
    elif kind == "validator":
        stepper = backend.validator(model, (images, labels), BATCH, False)
    else:
        stepper = backend.predictor(model, images, BATCH, False)

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
