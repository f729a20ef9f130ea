"""From a sample of a training to its whole: totals with an interval. Pure.

The samples come from the workload's timing files (measure ``quick``): blocks of steps, the ends of
passes, saves. What each figure holds is told in docs/protocols.md.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.analysis.statistics import quantile
from harness.workload import contract

BATCHES = 10
"""Blocks are joined to so many batches, whose means are nearer to independent than blocks are."""

ENOUGH_BLOCKS = 10
"""With fewer, an interval is marked weak."""

STANDS_OUT = 3.0
"""Standard deviations of the others by which blocks that warm up differ from them."""

UNSTEADY = 0.02
"""Half of the training's interval over its value from which on the speed was not steady."""

LEAST_HALF = 0.01
"""Half of an interval over its value is never less: over hours a machine's speed wanders by what no
sample of minutes can show (docs/accuracy.md)."""

BETWEEN_PROCESSES = 0.015
"""The same for a training's total: another process of the very same training takes a time of its
own, of which a sample in one process knows nothing (the column A/A of docs/accuracy.md)."""


@dataclass(frozen=True)
class Estimate:
    """A value with an interval around it, in seconds; `half` is None where nothing can be said."""

    value: float
    half: float | None
    weak: bool

    def times(self, factor: float) -> Estimate:
        half = None if self.half is None else self.half * factor
        return Estimate(self.value * factor, half, self.weak)


@dataclass(frozen=True)
class Part:
    """Some steps of the whole that were measured, and the seconds they took."""

    steps: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, blocks: Iterable[Mapping[str, Any]]) -> Part:
        known = list(blocks)
        return cls(sum(int(b["steps"]) for b in known), sum(float(b["seconds"]) for b in known))

    def __add__(self, other: Part) -> Part:
        return Part(self.steps + other.steps, self.seconds + other.seconds)


@dataclass(frozen=True)
class Prediction:
    """Fields for a record's timing; all of `values` are predicted.

    `steady` is False where the sample itself differs so much that it says little of the whole.
    """

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    weak: tuple[str, ...]
    steady: bool = True


def step_time(blocks: Sequence[Mapping[str, Any]]) -> Estimate:
    """Seconds a step, from raw blocks (each with `steps` and `seconds`), in the order measured.

    Blocks that are too short to be counted are left out where there are others. The value is all
    seconds over all steps. The interval comes from batch means (Student's t),
    with the drift between the first and the second half added: what still changes at the end of
    the sample will be felt for the whole training.
    """
    blocks = _long_ones(blocks)
    value = _rate(blocks)
    weak = len(blocks) < ENOUGH_BLOCKS
    if len(blocks) < 2:
        return Estimate(value, None, weak=True)
    batches = [_rate(batch) for batch in _split(blocks, min(BATCHES, len(blocks)))]
    spread = statistics.stdev(batches) / math.sqrt(len(batches))
    early, late = (_rate(half) for half in _split(blocks, 2))
    half = math.hypot(quantile(len(batches) - 1) * spread, late - early, LEAST_HALF * value)
    return Estimate(value, half, weak)


def settled(blocks: Sequence[Mapping[str, Any]]) -> int:
    """How many blocks at the beginning still warm up: those without which the mean of the others
    is known best (the marginal standard error rule, MSER; White 1997). Never more than half, and
    none where they do not stand out from what the others differ by.
    """
    rates = [float(block["seconds"]) / int(block["steps"]) for block in blocks]
    if len(rates) < 4:
        return 0

    def error(cut: int) -> float:
        rest = rates[cut:]
        return statistics.pvariance(rest) / len(rest)

    cut = min(range(len(rates) // 2 + 1), key=error)
    rest = rates[cut:]
    apart = abs(statistics.median(rates[:cut]) - statistics.fmean(rest)) if cut else 0.0
    return cut if apart > STANDS_OUT * statistics.stdev(rest) else 0


def _long_ones(blocks: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    long_ones = [block for block in blocks if block["seconds"] >= contract.MIN_BLOCK_S]
    return long_ones if len(long_ones) > 1 else blocks


def _rate(blocks: Sequence[Mapping[str, Any]]) -> float:
    seconds = sum(float(block["seconds"]) for block in blocks)
    return seconds / sum(int(block["steps"]) for block in blocks)


def _split(blocks: Sequence[Mapping[str, Any]], parts: int) -> list[Sequence[Mapping[str, Any]]]:
    edges = [round(len(blocks) * part / parts) for part in range(parts + 1)]
    return [blocks[a:b] for a, b in itertools.pairwise(edges)]


def predict_training(timing: Mapping[str, Any]) -> Prediction:
    """Totals of the training that the sample in a ``timing-train.json`` was taken from.

    An interval is left out where the device was never steady or there are too few blocks.
    """
    plan, sample, blocks = timing["plan"], timing["sample"], timing["blocks"]
    epochs = int(plan["epochs"])
    heating = timing.get("heating")
    warm_up = Part.of(timing.get("warm_up", ()))
    if heating is not None:
        warm_up += Part(int(heating.get("steps", 0)), float(heating.get("steps_s", 0.0)))
    train = _passes(sample["train"], blocks["train"], int(plan["steps"]), epochs, warm_up)
    validation = _passes(
        sample["validation"], blocks["validation"], int(plan["validation_steps"]), epochs
    )
    fewest, likely, most = _saves(str(plan["checkpoint"]), epochs)
    save_s = statistics.fmean(sample["saves"]) if sample["saves"] else 0.0
    values = {
        "train_s": train.value,
        "validation_s": validation.value,
        "checkpoint_s": likely * save_s,
    }
    values["total_execution_s"] = sum(values.values())
    intervals: dict[str, tuple[float, float]] = {}
    steady = heating is None or bool(heating["steady"])
    if steady and train.half is not None and validation.half is not None:
        total = values["total_execution_s"]
        half = math.hypot(train.half, validation.half, BETWEEN_PROCESSES * total)
        intervals = {
            "train_s": _around(train.value, train.half),
            "validation_s": _around(validation.value, validation.half),
            "checkpoint_s": (fewest * save_s, most * save_s),
            "total_execution_s": (
                total - half - (likely - fewest) * save_s,
                total + half + (most - likely) * save_s,
            ),
        }
    weak = train.weak or validation.weak
    calm = train.half is None or train.half <= UNSTEADY * train.value
    return Prediction(values, intervals, ("total_execution_s",) if weak else (), steady and calm)


def predict_inference(timing: Mapping[str, Any]) -> Prediction:
    """Totals of the inference whose beginning is in a ``timing-infer.json``."""
    predict = timing["sample"]["predict"]
    passes = _passes(predict, timing["blocks"]["predict"], int(timing["plan"]["steps"]), 1)
    predict_s = float(timing["prepare_s"]) + passes.value
    load_s = float(timing["model_load_s"])
    values = {"predict_s": predict_s, "total_inference_s": load_s + predict_s}
    intervals = {}
    if passes.half is not None:
        intervals = {name: _around(value, passes.half) for name, value in values.items()}
    return Prediction(values, intervals, ("total_inference_s",) if passes.weak else ())


def _passes(
    parts: Mapping[str, Any],
    blocks: Sequence[Mapping[str, Any]],
    steps: int,
    passes: int,
    warm_up: Part = Part(),
) -> Estimate:
    """All passes over a data set: the first step, the other full steps, ends and overheads.

    Steps that warmed the device up are in the whole as they were: it is warmed up once.
    """
    cut = settled(blocks)
    warm_up += Part.of(blocks[:cut])
    left = max(0, passes * steps - 1 - warm_up.steps)
    step = step_time(blocks[cut:]).times(left) if left else Estimate(0.0, 0.0, weak=False)
    partials, overheads = list(parts["partials"]), list(parts["overheads"])
    value = float(parts["first_s"]) + warm_up.seconds + step.value
    value += passes * statistics.median(overheads)
    if partials:
        # The first batch of that size pays once for what its shape needs.
        usual = statistics.median(partials[1:] or partials)
        value += partials[0] + (passes - 1) * usual
    return Estimate(value, step.half, step.weak)


def _saves(checkpoint: str, epochs: int) -> tuple[int, int, int]:
    """Fewest, likely and most saves: how often accuracy grows is up to the learning."""
    if checkpoint == "none":
        return 0, 0, 0
    return 1, max(1, round(math.sqrt(epochs))), epochs


def _around(value: float, half: float) -> tuple[float, float]:
    return max(0.0, value - half), value + half
