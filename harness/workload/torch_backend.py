"""PyTorch: Keras's own steps, called one after the other; a GPU queues them, a CPU computes."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np
import torch

from . import contract, data, nvml
from .backend import Array, Arrays, Model, Reading
from .feed import Feed, Predictions, Resident
from .keras_api import VERSION, build_state, last_bias, metrics, policy, settle
from .machine import cpu_name
from .spec import Spec

Step = Callable[..., Any]


class _Stepper:
    """Calls `step(*batch)` for batch after batch, brought to the device."""

    def __init__(self, feed: Feed, step: Step) -> None:
        self.images = feed.images
        self.batch_size = feed.batch_size
        self.feed = feed
        self._step = step

    def begin(self, epoch: int, step: int = 0) -> None:
        del epoch  # always the data's own order
        self.feed.begin(step)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._step(*(_to_device(array) for array in self.feed.next()))

    def sync(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()


class _KerasStepper(_Stepper):
    def __init__(self, feed: Feed, model: Model, step: Step) -> None:
        build_state(model, _to_device(np.eye(1, contract.CLASSES, dtype=np.float32)))
        super().__init__(feed, lambda x, y: step((x, y)))
        self._model = model

    def begin(self, epoch: int, step: int = 0) -> None:
        self._model.reset_metrics()
        super().begin(epoch, step)

    def metrics(self) -> Dict[str, float]:
        return metrics(self._model)


class _Trainer(_KerasStepper):
    def __init__(self, feed: Feed, model: Model, seed: int) -> None:
        super().__init__(feed, model, model.train_step)
        self._seed = seed

    def begin(self, epoch: int, step: int = 0) -> None:
        self._model.reset_metrics()
        self.feed.begin(step, data.order(self._seed, epoch, self.images))

    def resident(self) -> Resident:
        return Resident(self, [_to_device(array) for array in self.feed.first()])

    def sync(self) -> None:
        super().sync()
        last_bias(self._model).value.detach().cpu()


class _Validator(_KerasStepper):
    def __init__(self, feed: Feed, model: Model) -> None:
        super().__init__(feed, model, torch.no_grad()(model.test_step))

    def sync(self) -> None:
        super().sync()
        self._model.metrics_variables[-1].value.cpu()


class _Predictor(_Stepper):
    """Keeps the predictions where they were computed; a synchronisation brings them to the host."""

    def __init__(self, feed: Feed, model: Model) -> None:
        super().__init__(feed, torch.no_grad()(lambda x: model(x, training=False)))
        self._kept = Predictions(lambda part: part.cpu().numpy())

    def begin(self, epoch: int, step: int = 0) -> None:
        self._kept.clear()
        super().begin(epoch, step)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._kept.keep(self._step(*(_to_device(array) for array in self.feed.next())))

    def sync(self) -> None:
        super().sync()
        self._kept.bring()

    def metrics(self) -> Dict[str, float]:
        return {}

    def predictions(self) -> Array:
        return self._kept.all()


class Torch:
    """The backend; its methods are told in `backend.Backend`."""

    def prepare(self, spec: Spec) -> Mapping[str, str]:
        if spec.device == "gpu" and not torch.cuda.is_available():
            raise RuntimeError("a GPU is asked for, and PyTorch sees none: nothing is measured")
        if spec.device == "gpu" and spec.device_memory_bytes is not None:
            whole = torch.cuda.get_device_properties(0).total_memory
            share = min(1.0, spec.device_memory_bytes / whole)
            torch.cuda.set_per_process_memory_fraction(share)
        # Both have defaults of their own; the mixed policies get what TensorFlow and JAX have.
        torch.backends.cuda.matmul.allow_tf32 = spec.precision != "float32"
        torch.backends.cudnn.allow_tf32 = spec.precision != "float32"
        if spec.deterministic:
            torch.use_deterministic_algorithms(True)
        settle(spec)
        ones = _to_device(np.ones((2, 2), np.float32))
        product = ones @ ones
        product.cpu()
        return _device_of(product)

    def trainer(
        self, model: Model, arrays: Arrays, batch_size: int, seed: int, jit: bool
    ) -> _Trainer:
        return _Trainer(Feed(arrays, batch_size), _ready(model, jit), seed)

    def validator(self, model: Model, arrays: Arrays, batch_size: int, jit: bool) -> _Validator:
        return _Validator(Feed(arrays, batch_size), _ready(model, jit))

    def predictor(self, model: Model, images: Array, batch_size: int, jit: bool) -> _Predictor:
        return _Predictor(Feed((images,), batch_size), _ready(model, jit))

    def device(self, model: Model) -> Mapping[str, str]:
        return _device_of(last_bias(model).value)

    def peak_device_bytes(self) -> Optional[int]:
        return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else None

    def sensors(self) -> Callable[[], Optional[Reading]]:
        return nvml.reader()

    def versions(self) -> Dict[str, Any]:
        return {
            "keras": VERSION,
            "framework": torch.__version__,
            "framework_build": torch.version.git_version,
            "cuda": torch.version.cuda or torch.version.hip,
            "cudnn": torch.backends.cudnn.version(),
        }

    def effective(self, jit: bool) -> Dict[str, Any]:
        return {
            "jit": jit,
            "tf32": torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32,
            "policy": policy(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "memory_growth": True,  # its allocator takes what it needs
        }


BACKEND = Torch()


def _ready(model: Model, jit: bool) -> Model:
    """The model, its forward pass (and so the backward pass) compiled once if `jit`.

    Keras would compile a whole step, optimizer and metrics included: that falls into many pieces
    and was fifty times slower than no compiling at all.
    """
    if jit and not getattr(model, "is_compiled_by_torch", False):
        model.call = torch.compile(model.call)
        model.is_compiled_by_torch = True
    return model


def _to_device(array: Any) -> Any:
    """The array as a tensor where the case computes; a GPU's copy is not waited for.

    A tensor that lies there already is given back as it is.
    """
    where = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.as_tensor(array).to(where, non_blocking=True)


def _device_of(tensor: Any) -> Mapping[str, str]:
    if tensor.device.type != "cuda":
        return {"kind": "cpu", "name": cpu_name()}
    return {"kind": "gpu", "name": torch.cuda.get_device_name(tensor.device)}
