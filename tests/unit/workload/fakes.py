"""Recording fakes that stand in for Keras and the frameworks beneath the real backends.

What is launched and what is waited for goes into one list, together with the clock's readings.
Their launches never wait, as a GPU's do not. Each framework sees one GPU, named CARD.
"""

from __future__ import annotations

import importlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import MagicMock, patch

import numpy as np

BATCH = 4
BLOCK_AFTER_S = 0.4
CARD = "NVIDIA H200"


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
    tensorflow.linalg.matmul.return_value.device = "/job:localhost/device:GPU:0"
    config = tensorflow.config
    config.experimental.get_device_details.return_value = {"device_name": CARD}
    config.experimental.get_memory_growth.return_value = None  # nobody has set it
    config.experimental.tensor_float_32_execution_enabled.return_value = False
    tensorflow.__version__ = "2.17.0"
    tensorflow.version.GIT_VERSION = "v2.17.0"
    tensorflow.sysconfig.get_build_info.return_value = {"cuda_version": "12.8"}
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
    jax.__version__ = "0.6.0"
    jax.devices.return_value[0].client.platform_version = "PJRT C API\ncuda 12080"
    ones = jax.numpy.ones.return_value
    (ones @ ones).devices.return_value = {MagicMock(platform="gpu", device_kind=CARD)}
    return {"jax": jax, "jaxlib": MagicMock(__version__="0.6.0")}


def fake_torch(device: Device) -> dict[str, Any]:
    torch = MagicMock()
    torch.no_grad = lambda: lambda step: step
    torch.cuda.is_available = lambda: True
    torch.cuda.synchronize = device.wait
    torch.cuda.get_device_name.return_value = CARD
    ones = torch.as_tensor.return_value.to.return_value
    (ones @ ones).device.type = "cuda"
    torch.are_deterministic_algorithms_enabled.return_value = False
    torch.__version__ = "2.7.0"
    torch.version.git_version, torch.version.cuda = "1a2b3c", "12.8"
    torch.backends.cudnn.version.return_value = 90501
    return {"torch": torch}


FAKES = {"tensorflow": fake_tensorflow, "jax": fake_jax, "torch": fake_torch}


def modules(framework: str, device: Device) -> dict[str, Any]:
    """What stands in `sys.modules` for Keras and one framework."""
    return {"keras": MagicMock(__version__="3.9.0"), **FAKES[framework](device)}


@contextmanager
def backend_on_fakes(framework: str, device: Device) -> Iterator[Any]:
    """The framework's real backend, imported on top of the fakes; the case's variables go again."""
    ours = [f"harness.workload.{name}" for name in ("keras_api", f"{framework}_backend")]
    with patch.dict(sys.modules, modules(framework, device)), patch.dict(os.environ):
        for name in ours:
            sys.modules.pop(name, None)
        yield importlib.import_module(ours[-1]).BACKEND
