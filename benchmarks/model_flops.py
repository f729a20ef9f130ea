"""FLOPs of one training step and of one forward pass of each model, per image.

Traces the workload's own models and Keras's own `train_step`, and asks TensorFlow's profiler
(`float_operation`) for each operation of the graph; a multiply-add counts as two. Three things are
done to its answer:

- Only operations that the step's result needs count: a traced graph also holds the gradients of
  frozen layers, which TensorFlow drops before it runs the step.
- Gradients of convolutions are counted from their shapes, as the forward convolution is: the
  profiler takes the input's size for the output's, which is too much where a convolution is not
  padded (2 to 9 times at these sizes), and it knows none of the depthwise ones.
- Two batches are traced, and the difference counts: what a step does once, such as updating the
  weights, is told apart.

`--framework jax` asks JAX's cost analysis of the step before compilation instead. It leaves out
multiplications with a convolution's padding, which at 32x32 are many, so its figures are lower;
the catalog holds TensorFlow's. Times nothing.
"""

from __future__ import annotations

import argparse
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from benchmarks import pairs
from benchmarks.workload import load, prepared, synthetic_case
from harness.workload import contract

BATCHES = (2, 4)
"""Traced one after the other; their difference is what images cost."""

SHAPE = (contract.IMAGE_SIDE, contract.IMAGE_SIDE, contract.CHANNELS)

Count = Counter[str]
"""FLOPs by kind of operation."""


def by_tensorflow(name: str) -> Iterator[tuple[str, Count, Count]]:
    """The forward pass, then the training step: what an image costs, and what each step does."""
    tf: Any = import_module("tensorflow")

    model = _built(name, "tensorflow", lambda: tf.one_hot([0], contract.CLASSES))

    def forward(x: Any, y: Any) -> Any:
        del y
        return model(x, training=False)

    def training(x: Any, y: Any) -> Any:
        return model.train_step((x, y))

    def flops(step: Callable[..., Any], batch: int) -> Count:
        images = tf.TensorSpec((batch, *SHAPE))
        labels = tf.TensorSpec((batch, contract.CLASSES))
        return _counted(tf.function(step, autograph=False).get_concrete_function(images, labels))

    for step in (forward, training):
        yield step.__name__, *_split(*(flops(step, batch) for batch in BATCHES))


def by_jax(name: str) -> Iterator[tuple[str, Count, Count]]:
    """The same by JAX, which tells no kinds of operations."""
    jax: Any = import_module("jax")
    np: Any = import_module("numpy")

    model = _built(name, "jax", lambda: jax.nn.one_hot(np.zeros(1, np.int32), contract.CLASSES))
    state = tuple(
        [variable.value for variable in group]
        for group in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    )

    def forward(state: Any, x: Any, y: Any) -> Any:
        del y
        return model.stateless_call(*state[:2], x, training=False)[0]

    def training(state: Any, x: Any, y: Any) -> Any:
        return model.train_step(state, (x, y))[1]

    def flops(step: Callable[..., Any], batch: int) -> Count:
        images = jax.ShapeDtypeStruct((batch, *SHAPE), np.float32)
        labels = jax.ShapeDtypeStruct((batch, contract.CLASSES), np.float32)
        return Counter(all=int(jax.jit(step).lower(state, images, labels).cost_analysis()["flops"]))

    for step in (forward, training):
        yield step.__name__, *_split(*(flops(step, batch) for batch in BATCHES))


FRAMEWORKS = {"tensorflow": by_tensorflow, "jax": by_jax}


def _built(name: str, framework: str, one: Callable[[], Any]) -> Any:
    case, _ = prepared(synthetic_case(name, 1, 1, 1, framework=framework))
    models, keras_api = load("models", "keras_api")
    model = models.build(case, None)
    keras_api.build_state(model, one())
    return model


def _split(smaller: Count, larger: Count) -> tuple[Count, Count]:
    """What an image costs, and what a step does whatever its batch."""
    few, many = BATCHES
    kinds = {*smaller, *larger}
    image = Counter({k: (larger[k] - smaller[k]) // (many - few) for k in kinds})
    return image, Counter({k: smaller[k] - few * image[k] for k in kinds})


def _counted(function: Any) -> Count:
    """FLOPs of what a traced function computes its result and its side effects from."""
    told = _profiled(function.graph)
    found: Count = Counter()
    for operation in _needed(function.graph):
        by_shape = _gradient(operation)
        found[operation.type] += told[operation.name] if by_shape is None else by_shape
    return found


def _profiled(graph: Any) -> Count:
    """FLOPs by the operation's name, as TensorFlow's profiler has them."""
    tf: Any = import_module("tensorflow")

    profiler = tf.compat.v1.profiler
    chosen = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    root = profiler.profile(graph, cmd="scope", options=chosen.with_empty_output().build())
    found: Count = Counter()
    left = [root]
    while left:
        node = left.pop()
        left.extend(node.children)
        found[node.name] += node.float_ops
    return found


def _needed(graph: Any) -> list[Any]:
    left = [*(tensor.op for tensor in graph.outputs), *graph.control_outputs]
    found = {}
    while left:
        operation = left.pop()
        if operation.name not in found:
            found[operation.name] = operation
            left += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    return list(found.values())


def _gradient(operation: Any) -> int | None:
    """FLOPs of a convolution's gradient: as many as the convolution's; None of anything else."""
    kind = operation.type
    if kind.endswith("BackpropFilter"):
        kernel = operation.outputs[0].shape
    elif kind.endswith("BackpropInput"):
        kernel = operation.inputs[1].shape
    else:
        return None
    # Of [height, width, inputs, outputs or multiplier], a depthwise kernel sums over two.
    summed = kernel[:2] if kind.startswith("Depthwise") else kernel[:3]
    return int(2 * operation.inputs[2].shape.num_elements() * math.prod(summed))


def main() -> int:
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=contract.MODELS, action="append")
    parser.add_argument("--framework", choices=FRAMEWORKS, default="tensorflow")
    parser.add_argument("--kinds", action="store_true", help="by kind of operation too")
    chosen = parser.parse_args()
    os.environ["KERAS_BACKEND"] = chosen.framework
    for name in chosen.model or contract.MODELS:
        for title, image, step in FRAMEWORKS[chosen.framework](name):
            once = f", {step.total():,} a step" if title == "training" else ""
            pairs.say(f"{name} {title}: {image.total():,} FLOPs an image{once}")
            if chosen.kinds:
                for kind, flops in image.most_common():
                    pairs.say(f"  {kind}: {flops:,} an image, {step[kind]:,} a step")
    return 0


if __name__ == "__main__":
    pairs.start(main)
