"""JAX: Keras's own steps, compiled whole; the model's variables travel as values between them.

Between two steps is one call from Python, which does not wait: JAX queues what it is given.
"""

from __future__ import annotations

import os
import re
from functools import partial
from importlib import metadata
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import jax
import jaxlib
import numpy as np

from . import contract, data, nvml
from .backend import Array, Arrays, Model, Reading
from .feed import Feed, Predictions, Resident
from .frameworks import XLA_DETERMINISTIC
from .keras_api import VERSION, build_state, last_bias, metrics, policy, settle
from .machine import cpu_name
from .spec import Spec

State = Tuple[Sequence[Any], ...]
"""Values of some groups of variables."""


class _KerasStepper:
    """Calls `step(state, *batch)` for batch after batch; it gives the state of the next.

    The variables of `groups` are that state. While a pass goes on their values lie here alone:
    what a step is given is used up by it.
    """

    def __init__(self, feed: Feed, model: Model, groups: Sequence[Any], step: Any) -> None:
        self.images = feed.images
        self.batch_size = feed.batch_size
        self.feed = feed
        self._model = model
        self._groups = [list(group) for group in groups]
        self._step = jax.jit(step, donate_argnums=0)
        self._state: Optional[State] = None

    def begin(self, epoch: int, step: int = 0) -> None:
        self._store()
        self._model.reset_metrics()
        self._state = tuple([variable.value for variable in group] for group in self._groups)
        self.feed.begin(step, self.order(epoch))

    def order(self, epoch: int) -> Optional[Array]:
        del epoch  # the data's own
        return None

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._state = self._step(self._state, *self.feed.next())

    def sync(self) -> None:
        np.asarray(self._watched())

    def _watched(self) -> Any:
        """Something small that the last step wrote."""
        values = self._state or [[variable.value for variable in self._groups[-1]]]
        return values[-1][-1]

    def metrics(self) -> Dict[str, float]:
        self._store()
        return metrics(self._model)

    def _store(self) -> None:
        """Hand the values back to the model's variables."""
        for group, values in zip(self._groups, self._state or ()):
            for variable, value in zip(group, values):
                variable.assign(value)
        self._state = None


class _Trainer(_KerasStepper):
    def __init__(self, feed: Feed, model: Model, seed: int) -> None:
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        super().__init__(
            feed, model, groups, lambda state, x, y: model.train_step(state, (x, y))[1]
        )
        self._seed = seed
        bias = last_bias(model)
        self._bias = next(i for i, v in enumerate(self._groups[0]) if v is bias)

    def order(self, epoch: int) -> Array:
        return data.order(self._seed, epoch, self.images)

    def resident(self) -> Resident:
        return Resident(self, [jax.device_put(array) for array in self.feed.first()])

    def _watched(self) -> Any:
        return self._state[0][self._bias] if self._state else last_bias(self._model).value


class _Validator(_KerasStepper):
    """Only the metrics change; the weights are read anew for each pass."""

    def __init__(self, feed: Feed, model: Model) -> None:
        def step(state: State, x: Any, y: Any, fixed: State) -> State:
            return (model.test_step((*fixed, *state), (x, y))[1][-1],)

        super().__init__(feed, model, (model.metrics_variables,), step)
        self._fixed = _Weights(model)
        self._compiled = self._step

    def begin(self, epoch: int, step: int = 0) -> None:
        super().begin(epoch, step)
        self._step = partial(self._compiled, fixed=self._fixed.values())


class _Weights:
    """All that a model computes with and does not change meanwhile."""

    def __init__(self, model: Model) -> None:
        self._groups = (model.trainable_variables, model.non_trainable_variables)

    def values(self) -> State:
        return tuple([variable.value for variable in group] for group in self._groups)


class _Predictor:
    """Keeps the predictions where they were computed; a synchronisation brings them to the host."""

    def __init__(self, feed: Feed, model: Model) -> None:
        self.images = feed.images
        self.batch_size = feed.batch_size
        self._feed = feed
        self._weights = _Weights(model).values()
        self._kept = Predictions(np.asarray)

        def step(weights: State, x: Any) -> Any:
            return model.stateless_call(*weights, x, training=False)[0]

        self._step = jax.jit(step)

    def begin(self, epoch: int, step: int = 0) -> None:
        del epoch
        self._kept.clear()
        self._feed.begin(step)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._kept.keep(self._step(self._weights, *self._feed.next()))

    def sync(self) -> None:
        self._kept.bring()

    def metrics(self) -> Dict[str, float]:
        return {}

    def predictions(self) -> Array:
        return self._kept.all()


class Jax:
    """The backend; its methods are told in `backend.Backend`.

    Its steps are always compiled: JAX without a compiler is a way to look for mistakes.
    """

    def prepare(self, spec: Spec) -> Mapping[str, str]:
        if spec.device == "gpu" and jax.default_backend() == "cpu":
            raise RuntimeError("a GPU is asked for, and JAX sees none: nothing is measured")
        # Under the mixed policies TF32 stays as JAX has it by default, which is on.
        precisions = {"float32": "highest", "tf32": "tensorfloat32"}
        jax.config.update("jax_default_matmul_precision", precisions.get(spec.precision))
        settle(spec)
        product = jax.numpy.ones((2, 2)) @ jax.numpy.ones((2, 2))
        product.block_until_ready()
        return _device_of(product)

    def trainer(
        self, model: Model, arrays: Arrays, batch_size: int, seed: int, jit: bool
    ) -> _Trainer:
        del jit
        build_state(model, _one_hot())
        return _Trainer(Feed(arrays, batch_size), model, seed)

    def validator(self, model: Model, arrays: Arrays, batch_size: int, jit: bool) -> _Validator:
        del jit
        build_state(model, _one_hot())
        return _Validator(Feed(arrays, batch_size), model)

    def predictor(self, model: Model, images: Array, batch_size: int, jit: bool) -> _Predictor:
        del jit
        return _Predictor(Feed((images,), batch_size), model)

    def device(self, model: Model) -> Mapping[str, str]:
        return _device_of(last_bias(model).value)

    def peak_device_bytes(self) -> Optional[int]:
        told = jax.devices()[0].memory_stats()
        return int(told["peak_bytes_in_use"]) if told else None

    def sensors(self) -> Callable[[], Optional[Reading]]:
        return nvml.reader()

    def versions(self) -> Dict[str, Any]:
        cuda = re.search(r"\b(?:cuda|rocm) (\d+)", jax.devices()[0].client.platform_version)
        return {
            "keras": VERSION,
            "framework": jax.__version__,
            "framework_build": "jaxlib " + jaxlib.__version__,
            "cuda": cuda.group(1) if cuda else None,
            "cudnn": _cudnn(),
        }

    def effective(self, jit: bool) -> Dict[str, Any]:
        del jit
        preallocates = os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "true").lower()
        allocator = os.environ.get("XLA_PYTHON_CLIENT_ALLOCATOR", "default").lower()
        flags = os.environ.get("XLA_FLAGS", "")
        return {
            "jit": True,
            "tf32": jax.config.jax_default_matmul_precision != "highest",
            "policy": policy(),
            "deterministic": XLA_DETERMINISTIC in flags,
            "xla_flags": flags,
            "memory_growth": preallocates in ("false", "0") or allocator == "platform",
        }


BACKEND = Jax()


def _cudnn() -> Optional[str]:
    """The version of the cuDNN package that JAX loads; an image's own tells none."""
    for name in ("nvidia-cudnn-cu13", "nvidia-cudnn-cu12"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _one_hot() -> Any:
    return jax.nn.one_hot(np.zeros(1, np.int32), contract.CLASSES)


def _device_of(array: Any) -> Mapping[str, str]:
    (device,) = array.devices()
    if device.platform == "cpu":
        return {"kind": "cpu", "name": cpu_name()}
    return {"kind": "gpu", "name": device.device_kind}
