"""The Keras to use: Keras 3 where it is installed, else the tf.keras 2 of older TensorFlows.

Importing this module imports the framework: only a phase's own process does.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Tuple

from .spec import Spec


def _find() -> Tuple[Any, str]:
    """The module, and its version, which TensorFlow 2.15's tf.keras does not tell itself."""
    framework = os.environ.get("KERAS_BACKEND", "tensorflow")
    try:
        import keras

        version = str(keras.__version__)
        if not version.startswith("2."):
            return keras, version
    except ImportError:
        version = "unknown"
        if framework != "tensorflow":
            raise
    if framework != "tensorflow":
        raise RuntimeError(
            "Keras %s knows TensorFlow alone: %s needs Keras 3" % (version, framework)
        )
    import tensorflow

    return tensorflow.keras, getattr(tensorflow.keras, "__version__", version)


keras: Any
VERSION: str
keras, VERSION = _find()

IS_KERAS_3 = not VERSION.startswith("2.")

ops: Any = keras.ops if IS_KERAS_3 else keras.backend
"""cast, square, sum and shape are named alike in both."""


def settle(spec: Spec) -> None:
    """Precision, seed and layout of the data: a user's keras.json must not make it another
    benchmark."""
    keras.backend.set_image_data_format("channels_last")
    keras.backend.set_floatx("float32")
    mixed = spec.precision.startswith("mixed_")
    keras.mixed_precision.set_global_policy(spec.precision if mixed else "float32")
    keras.utils.set_random_seed(spec.seed)


def policy() -> str:
    """The name of the precision policy in force."""
    return str(keras.mixed_precision.global_policy().name)


def build_state(model: Any, one: Any) -> None:
    """Make the variables of a compiled model's optimizer and metrics now.

    A graph that makes variables while it is traced is traced a second time: for model B that
    would double a first step of a minute and more.

    Args:
        one: one-hot labels of one image as the framework's own tensor, [1, classes].
    """
    if not getattr(model.optimizer, "built", False):
        model.optimizer.build(model.trainable_variables)
    if not IS_KERAS_3:
        model.compiled_loss(one, one)
    model.compute_metrics(one, one, one, None)
    model.reset_metrics()


def metrics(model: Any) -> Dict[str, float]:
    """A compiled model's metrics as they stand."""
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def last_bias(model: Any) -> Any:
    """The variable that each update writes and that is quickest to read: the last layer's bias."""
    return model.layers[-1].bias
