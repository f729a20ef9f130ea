"""What a framework must offer to be measured: adding one means one module and one line here."""

from __future__ import annotations

import importlib
from typing import Any, Callable, Dict, Mapping, Optional, Protocol, Tuple

from .spec import Spec

Array = Any
"""A numpy array; the shape is told where it is used."""
Arrays = Tuple[Array, Array]
"""Images, float32 [n, side, side, 3], and one-hot labels, float32 [n, 10]."""
Reading = Tuple[int, int]
"""Temperature in degrees Celsius and SM clock in MHz."""
Model = Any
"""A Keras model, of Keras 3 or tf.keras 2."""

BACKENDS = {
    "tensorflow": ".tensorflow_backend",
    "jax": ".jax_backend",
    "torch": ".torch_backend",
}


class Stepper(Protocol):
    """Runs a model batch by batch over a data set that is held in memory."""

    @property
    def images(self) -> int:
        """Images in one pass."""

    @property
    def batch_size(self) -> int:
        """Images in a full batch; the pass's last batch holds what remains."""

    def begin(self, epoch: int, step: int = 0) -> None:
        """Start a pass at its batch `step`: new order, new iterator, metrics at zero."""

    def run(self, steps: int) -> None:
        """Start the pass's next `steps` batches, without waiting for the device more than the
        framework's own queue demands."""

    def sync(self) -> None:
        """Wait until all that was started has ended: reads something that the last step wrote."""

    def metrics(self) -> Dict[str, float]:
        """The metrics over the pass so far.

        It ends a pass: only after it need the model's variables hold what was learnt.
        """


class Trainer(Stepper, Protocol):
    """A stepper that trains."""

    def resident(self) -> Stepper:
        """Trains the same model on one full batch that lies on the device already.

        Its passes are the trainer's own: it can be run once that has begun one, and reads no data.
        """


class Predictor(Stepper, Protocol):
    """A stepper that keeps what it predicts."""

    def predictions(self) -> Array:
        """float32 [images, classes], in the data set's own order."""


class Backend(Protocol):
    """One framework."""

    def prepare(self, spec: Spec) -> Mapping[str, str]:
        """Choose device, precision and seed; before anything else touches the framework.

        Computes something small, so that the device is up before anything is timed.

        Returns:
            ``kind`` and ``name`` of the device that computed it.

        Raises:
            RuntimeError: a GPU is asked for and none is visible.
        """

    def trainer(
        self, model: Model, arrays: Arrays, batch_size: int, seed: int, jit: bool
    ) -> Trainer:
        """Trains a compiled `model` in an order that `seed` and the epoch decide."""

    def validator(self, model: Model, arrays: Arrays, batch_size: int, jit: bool) -> Stepper:
        """Evaluates a compiled `model` in the data's own order."""

    def predictor(self, model: Model, images: Array, batch_size: int, jit: bool) -> Predictor:
        """Predicts `images`, float32 [n, side, side, 3]."""

    def device(self, model: Model) -> Mapping[str, str]:
        """``kind`` and ``name`` of the device on which the model's last layer really lies."""

    def peak_device_bytes(self) -> Optional[int]:
        """Most memory that the device's allocator has handed out at once; None where it keeps no
        account, as on a CPU (but for TensorFlow's allocator BFC)."""

    def sensors(self) -> Callable[[], Optional[Reading]]:
        """Reads temperature and clock of the GPU that is used."""

    def versions(self) -> Dict[str, Any]:
        """Versions of the framework and the libraries beneath it."""

    def effective(self, jit: bool) -> Dict[str, Any]:
        """The settings that are really in force."""


def load(framework: str) -> Backend:
    """The backend of `framework`, which it imports."""
    module = importlib.import_module(BACKENDS[framework], __package__)
    backend: Backend = module.BACKEND
    return backend
