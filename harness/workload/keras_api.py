"""The Keras to use: Keras 3 where it is installed, else the tf.keras 2 of older TensorFlows.

Importing this module imports the framework: only a phase's own process does.
"""

from __future__ import annotations

from typing import Any, Tuple


def _find() -> Tuple[Any, str]:
    """The module, and its version, which TensorFlow 2.15's tf.keras does not tell itself."""
    try:
        import keras

        version = str(keras.__version__)
        if not version.startswith("2."):
            return keras, version
    except ImportError:
        version = "unknown"
    import tensorflow

    return tensorflow.keras, getattr(tensorflow.keras, "__version__", version)


keras: Any
VERSION: str
keras, VERSION = _find()

IS_KERAS_3 = not VERSION.startswith("2.")

ops: Any = keras.ops if IS_KERAS_3 else keras.backend
"""cast, square, sum and shape are named alike in both."""
