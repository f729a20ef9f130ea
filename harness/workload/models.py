"""The study's models. Parameters as built at 32x32x3 are asserted through the spec.

Model A is a frozen VGG19 with four convolutions and three hidden layers on top; model B joins
Xception and ResNet152V2, both trainable. `model-b-2021` is the head of the study's published code.
"""

from __future__ import annotations

import inspect
import os
from typing import Any, Dict, Mapping, Optional

from . import contract
from .backend import Model
from .keras_api import keras, ops
from .spec import Spec

INPUT_SHAPE = (contract.IMAGE_SIDE, contract.IMAGE_SIDE, contract.CHANNELS)
L1_KERNEL = 1e-5
L2 = 1e-4
L2_ACTIVITY = 1e-5
DROPOUT = 0.5

layers: Any = keras.layers


class ActivityL2(layers.Layer):  # type: ignore[misc]
    """Hands its input on and adds 1e-5 x sum(x^2) / batch size, in float32, to the loss.

    Keras's own activity regulariser is the sum in some versions and the mean over the batch in
    others; this is the mean in all of them.
    """

    def call(self, inputs: Any) -> Any:
        squares = ops.sum(ops.square(ops.cast(inputs, "float32")))
        self.add_loss(L2_ACTIVITY * squares / ops.cast(ops.shape(inputs)[0], "float32"))
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


CUSTOM_OBJECTS = {"ActivityL2": ActivityL2}


def build(spec: Spec, weights_folder: Optional[str]) -> Model:
    """The model that the spec names, compiled.

    Raises:
        ValueError: the parameters are not as many as the spec expects, or weights are missing.
    """
    model = BUILDERS[spec.model](_weights(spec, weights_folder))
    parameters = model.count_params()
    if spec.parameters is not None and parameters != spec.parameters:
        raise ValueError(
            "%s has %d parameters, the spec expects %d: this is another model"
            % (spec.model, parameters, spec.parameters)
        )
    compile_model(model, spec.jit)
    return model


def compile_model(model: Model, jit: bool) -> None:
    """Optimizer, loss and metrics as in the study."""
    settings: Dict[str, Any] = {
        "learning_rate": 1e-3,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
    }
    if "jit_compile" in inspect.signature(keras.optimizers.Adam.__init__).parameters:
        # tf.keras 2 compiles the update alone on a GPU unless told otherwise.
        settings["jit_compile"] = jit
    model.compile(
        optimizer=keras.optimizers.Adam(**settings),
        loss=keras.losses.CategoricalCrossentropy(),
        metrics=[
            keras.metrics.CategoricalAccuracy(name="accuracy"),
            keras.metrics.Precision(name="precision"),
            keras.metrics.Recall(name="recall"),
        ],
        jit_compile=jit,
    )


def load(path: str) -> Model:
    """A saved model with its optimizer, as Keras loads it by default and the study did."""
    return keras.models.load_model(path, custom_objects=CUSTOM_OBJECTS)


def _model_a(weights: Mapping[str, str]) -> Model:
    inputs = keras.Input(INPUT_SHAPE)
    base = _base("vgg19", inputs, weights)
    base.trainable = False
    x = base.output
    for _ in range(4):
        x = layers.Conv2D(128, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, _deep_head(x))


def _model_b(weights: Mapping[str, str]) -> Model:
    inputs = keras.Input(INPUT_SHAPE)
    return keras.Model(inputs, _deep_head(_twin_base(inputs, weights)))


def _model_b_2021(weights: Mapping[str, str]) -> Model:
    inputs = keras.Input(INPUT_SHAPE)
    x = layers.GlobalAveragePooling2D()(_twin_base(inputs, weights))
    x = layers.Dropout(DROPOUT)(x)
    return keras.Model(inputs, _classes(_hidden(1024, x)))


BUILDERS = {"model-a": _model_a, "model-b": _model_b, "model-b-2021": _model_b_2021}

_BASES = {"vgg19": "VGG19", "xception": "Xception", "resnet152v2": "ResNet152V2"}


def _twin_base(inputs: Any, weights: Mapping[str, str]) -> Any:
    bases = [_base(name, inputs, weights) for name in ("xception", "resnet152v2")]
    x = layers.Concatenate()([base.output for base in bases])
    return layers.Conv2D(1024, 3, padding="same", activation="relu")(x)


def _base(name: str, inputs: Any, weights: Mapping[str, str]) -> Model:
    """A convolutional base on `inputs`, given as a tensor: Xception refuses 32x32 as a shape."""
    application = getattr(keras.applications, _BASES[name])
    base = application(include_top=False, weights=None, input_tensor=inputs)
    if weights:
        base.load_weights(weights[name])
    return base


def _deep_head(x: Any) -> Any:
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(DROPOUT)(_hidden(4096, x))
    x = layers.Dropout(DROPOUT)(_hidden(2048, x))
    return _classes(_hidden(128, x))


def _hidden(units: int, x: Any) -> Any:
    dense = layers.Dense(
        units,
        activation="relu",
        kernel_regularizer=keras.regularizers.L1L2(l1=L1_KERNEL, l2=L2),
        bias_regularizer=keras.regularizers.L2(L2),
    )
    return ActivityL2()(dense(x))


def _classes(x: Any) -> Any:
    """Class probabilities, in float32 under every precision."""
    return layers.Dense(contract.CLASSES, activation="softmax", dtype="float32")(x)


def _weights(spec: Spec, folder: Optional[str]) -> Mapping[str, str]:
    """Path of the file for each base; empty where the weights are random."""
    if spec.weights == "random":
        return {}
    needed = ("vgg19",) if spec.model == "model-a" else ("xception", "resnet152v2")
    missing = [name for name in needed if name not in spec.weights_files]
    if folder is None or missing:
        raise ValueError(
            "imagenet weights need --weights and a file for each base; missing: %s"
            % (", ".join(missing) or "--weights")
        )
    return {name: os.path.join(folder, spec.weights_files[name]) for name in needed}
