"""TensorFlow: the same mathematics as ``model.fit``, without Python between the steps.

``model.train_step`` and ``model.test_step`` run inside a graph that loops over an iterator. The
number of steps is a tensor and the batch dimension is open, so one trace serves blocks of any
length and the smaller last batch too.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from . import contract, data, nvml
from .backend import Array, Arrays, Model, Reading
from .keras_api import VERSION, build_state, last_bias, metrics, policy, settle
from .machine import cpu_name
from .spec import Spec

Step = Callable[..., Any]

PREFETCH_BATCHES = 8
"""Batches made ahead, so that a step never waits for the next one to be gathered."""


class _Feed:
    """Batches gathered from memory in an order that is set anew for each pass.

    Data and order are variables on the CPU: what a dataset captures as a constant is copied
    whenever an iterator is made.
    """

    def __init__(self, arrays: Sequence[Array], batch_size: int) -> None:
        self.images = len(arrays[0])
        self.batch_size = batch_size
        with tf.device("CPU:0"):
            self._order = tf.Variable(tf.range(self.images, dtype=tf.int64), trainable=False)
            self._arrays = [tf.Variable(array, trainable=False) for array in arrays]
        steps = -(-self.images // batch_size)
        batches = tf.data.Dataset.range(steps).map(self._gather).prefetch(PREFETCH_BATCHES)
        self._batches = batches.with_options(_without_autotune())

    def _gather(self, step: Any) -> Tuple[Any, ...]:
        rows = self._order[step * self.batch_size : (step + 1) * self.batch_size]
        return (rows, *(tf.gather(array, rows) for array in self._arrays))

    def first(self) -> List[Any]:
        """The data's first full batch, on the CPU: elsewhere all of it would be copied first."""
        with tf.device("CPU:0"):
            return [array[: self.batch_size] for array in self._arrays]

    def same(self) -> Any:
        """An iterator that gives the first full batch for ever, gathered once."""
        return iter(self._batches.take(1).cache().repeat().with_options(_without_autotune()))

    def iterator(self, step: int, order: Optional[Array] = None) -> Any:
        """A pass from its batch `step` on.

        Each element is the rows' numbers, int64 [batch], and a batch of each array.
        """
        if order is not None:
            self._order.assign(order)
        return iter(self._batches.skip(step) if step else self._batches)


class _Stepper:
    """Calls `step(rows, *batch)` for batch after batch of a feed, inside one graph."""

    def __init__(self, feed: _Feed, step: Step) -> None:
        self.images = feed.images
        self.batch_size = feed.batch_size
        self._feed = feed
        self._iterator: Any = None

        def loop(iterator: Any, steps: Any) -> None:
            _repeat(steps, lambda: step(*next(iterator)))

        # AutoGraph has nothing to convert: Keras's steps are written for graphs.
        self._loop = tf.function(loop, autograph=False)

    def begin(self, epoch: int, step: int = 0) -> None:
        del epoch  # always the data's own order
        self._iterator = self._feed.iterator(step)

    def run(self, steps: int) -> None:
        self._loop(self._iterator, tf.constant(steps))


class _KerasStepper(_Stepper):
    """A stepper over a compiled model's own `train_step` or `test_step`."""

    def __init__(self, feed: _Feed, model: Model, step: Step, jit: bool) -> None:
        build_state(model, tf.one_hot([0], contract.CLASSES))

        def batch_step(x: Any, y: Any) -> None:
            step((x, y))

        # A function of its own: traced once, whichever loop calls it.
        options = {"jit_compile": True} if jit else {}
        compiled = tf.function(batch_step, autograph=False, **options)
        super().__init__(feed, lambda _rows, x, y: compiled(x, y))
        self._model = model
        self._batch_step = compiled

    def begin(self, epoch: int, step: int = 0) -> None:
        self._model.reset_metrics()
        super().begin(epoch, step)

    def metrics(self) -> Dict[str, float]:
        return metrics(self._model)


class _Trainer(_KerasStepper):
    def __init__(self, feed: _Feed, model: Model, seed: int, jit: bool) -> None:
        super().__init__(feed, model, model.train_step, jit)
        self._seed = seed

    def begin(self, epoch: int, step: int = 0) -> None:
        self._model.reset_metrics()
        self._iterator = self._feed.iterator(step, data.order(self._seed, epoch, self.images))

    def sync(self) -> None:
        tf.convert_to_tensor(last_bias(self._model)).numpy()

    def resident(self) -> _Resident:
        return _Resident(self, self.on_card() if _visible_gpus() else self.on_host())

    def on_host(self) -> Callable[[Any], None]:
        """Steps on one batch in main memory: the trainer's own graph, for another would cost model
        B a minute."""
        iterator = self._feed.same()
        return lambda steps: self._loop(iterator, steps)

    def on_card(self) -> Callable[[Any], None]:
        """Steps on one batch in variables, which lie where the model computes: in a GPU's memory,
        which what an iterator gives is copied to."""
        kept = [
            # The open first dimension that the step was traced with: no second trace.
            tf.Variable(array, shape=[None, *array.shape[1:]], trainable=False)
            for array in self._feed.first()
        ]

        def loop(steps: Any) -> None:
            _repeat(steps, lambda: self._batch_step(*map(tf.convert_to_tensor, kept)))

        compiled: Callable[[Any], None] = tf.function(loop, autograph=False)
        return compiled


class _Resident:
    """Runs `again`, training steps on one batch, in the trainer's passes."""

    def __init__(self, trainer: _Trainer, again: Callable[[Any], None]) -> None:
        self.images = self.batch_size = trainer.batch_size
        self._trainer = trainer
        self._again = again

    def begin(self, epoch: int, step: int = 0) -> None:
        self._trainer.begin(epoch, step)

    def run(self, steps: int) -> None:
        self._again(tf.constant(steps))

    def sync(self) -> None:
        self._trainer.sync()

    def metrics(self) -> Dict[str, float]:
        return self._trainer.metrics()


class _Validator(_KerasStepper):
    def __init__(self, feed: _Feed, model: Model, jit: bool) -> None:
        super().__init__(feed, model, model.test_step, jit)

    def sync(self) -> None:
        # Nothing but the metrics changes: read a variable of the one updated last.
        tf.convert_to_tensor(self._model.metrics[-1].variables[-1]).numpy()


class _Predictor(_Stepper):
    """Keeps the predictions where they were computed; a synchronisation brings them to the host."""

    def __init__(self, feed: _Feed, model: Model, jit: bool) -> None:
        self._result = tf.Variable(tf.zeros((feed.images, contract.CLASSES)), trainable=False)

        def predict(x: Any) -> Any:
            return model(x, training=False)

        compiled = tf.function(predict, autograph=False, jit_compile=True) if jit else predict

        def step(rows: Any, x: Any) -> None:
            self._result.scatter_update(tf.IndexedSlices(compiled(x), rows))

        super().__init__(feed, step)

    def sync(self) -> None:
        self._result.numpy()

    def metrics(self) -> Dict[str, float]:
        return {}

    def predictions(self) -> Array:
        return self._result.numpy()


class TensorFlow:
    """The backend; its methods are told in `backend.Backend`."""

    def prepare(self, spec: Spec) -> Mapping[str, str]:
        gpus = tf.config.list_physical_devices("GPU") if spec.device == "gpu" else []
        if spec.device == "gpu" and not gpus:
            raise RuntimeError("a GPU is asked for, and TensorFlow sees none: nothing is measured")
        tf.config.set_visible_devices(gpus[:1], "GPU")
        if gpus and spec.device_memory_bytes is not None:
            pool = tf.config.LogicalDeviceConfiguration(spec.device_memory_bytes >> 20)
            tf.config.set_logical_device_configuration(gpus[0], [pool])
        # Under the mixed policies TF32 stays as TensorFlow has it by default, which is on.
        tf.config.experimental.enable_tensor_float_32_execution(spec.precision != "float32")
        settle(spec)
        if spec.deterministic:
            tf.config.experimental.enable_op_determinism()
        ones = tf.ones((2, 2))
        product = tf.linalg.matmul(ones, ones)
        product.numpy()
        return _device_of(product)

    def trainer(
        self, model: Model, arrays: Arrays, batch_size: int, seed: int, jit: bool
    ) -> _Trainer:
        return _Trainer(_Feed(arrays, batch_size), model, seed, jit)

    def validator(self, model: Model, arrays: Arrays, batch_size: int, jit: bool) -> _Validator:
        return _Validator(_Feed(arrays, batch_size), model, jit)

    def predictor(self, model: Model, images: Array, batch_size: int, jit: bool) -> _Predictor:
        return _Predictor(_Feed((images,), batch_size), model, jit)

    def device(self, model: Model) -> Mapping[str, str]:
        return _device_of(tf.convert_to_tensor(last_bias(model)))

    def peak_device_bytes(self) -> Optional[int]:
        # On a processor only the allocator BFC, which has to be asked for, keeps an account.
        if not _visible_gpus() and "TF_CPU_ALLOCATOR_USE_BFC" not in os.environ:
            return None
        device = "GPU:0" if _visible_gpus() else "CPU:0"
        return int(tf.config.experimental.get_memory_info(device)["peak"])

    def sensors(self) -> Callable[[], Optional[Reading]]:
        return nvml.reader()

    def versions(self) -> Dict[str, Any]:
        build = tf.sysconfig.get_build_info()
        return {
            "keras": VERSION,
            "framework": tf.__version__,
            "framework_build": tf.version.GIT_VERSION,
            "cuda": build.get("cuda_version"),
            "cudnn": build.get("cudnn_version"),
        }

    def effective(self, jit: bool) -> Dict[str, Any]:
        gpus = _visible_gpus()
        return {
            "jit": jit,
            "tf32": tf.config.experimental.tensor_float_32_execution_enabled(),
            "policy": policy(),
            "deterministic": _is_deterministic(),
            "memory_growth": bool(gpus) and _grows(gpus[0]),
        }


BACKEND = TensorFlow()


def _repeat(steps: Any, work: Callable[[], Any]) -> None:
    """`work` so many times, inside a graph."""

    def body(done: Any) -> List[Any]:
        work()
        return [done + 1]

    tf.while_loop(lambda done: done < steps, body, [tf.constant(0)])


def _without_autotune() -> Any:
    """tf.data without its tuning thread.

    With it the old iterator's end can block the start of the next pass: on TensorFlow 2.17 an
    epoch began 2.8 s and 6.9 s late with the thread and 0.01 s without, all else equal.
    """
    options = tf.data.Options()
    if hasattr(options, "autotune"):
        options.autotune.enabled = False
    else:  # before TensorFlow 2.6
        options.experimental_optimization.autotune = False
    return options


def _device_of(tensor: Any) -> Mapping[str, str]:
    if "GPU" not in tensor.device.upper():
        return {"kind": "cpu", "name": cpu_name()}
    details = tf.config.experimental.get_device_details(_visible_gpus()[0])
    return {"kind": "gpu", "name": details.get("device_name", "unknown")}


def _visible_gpus() -> Any:
    return tf.config.get_visible_devices("GPU")


def _grows(gpu: Any) -> bool:
    """Whether a GPU's memory is taken as it is needed.

    The variable overrides the setting, which does not show it; TensorFlow ignores other values.
    """
    forced = {"true": True, "false": False}.get(os.environ.get("TF_FORCE_GPU_ALLOW_GROWTH", ""))
    return bool(tf.config.experimental.get_memory_growth(gpu)) if forced is None else forced


def _is_deterministic() -> Optional[bool]:
    """None where this TensorFlow does not tell."""
    try:
        from tensorflow.python.framework.config import is_op_determinism_enabled

        return bool(is_op_determinism_enabled())
    except ImportError:
        return None
