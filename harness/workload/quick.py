"""The quick measure: a small part of a training, enough to predict the whole of it.

Pure but for what is handed in: steppers, clock, sensors. Nothing is predicted here; the raw times
go to the host, which does (`harness.analysis.prediction`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from statistics import mean, stdev
from typing import Any, Callable, Dict, List, Optional

from . import blocks
from .backend import Stepper
from .blocks import Block, Clock, Pace, Pass

FULL_BELOW_S = 300.0
"""A training that takes less is run whole."""
FRACTION = 0.03
LEAST_S = 20.0
MOST_S = 300.0
SHARE = 0.25
"""Validation and inference get this part of the training's budget each."""

CLOSE = 0.01
"""Half of the interval over the mean at which a sample is good enough to stop early."""
MIN_BLOCKS = 10
LEAST_BLOCKS = 2
"""An interval needs so many: they are measured where a budget is spent before, too."""
LEAST_SAMPLE_S = 60.0
"""A training is not measured for less, if the budget allows it: a few blocks in a row agree by
chance on a machine that has two speeds or a neighbour (benchmarks/scripted_traces.py)."""
PARTS = 3
"""How often overheads, partial batches and checkpoints are measured."""
LONG_PART_S = 10.0
"""A checkpoint that takes longer is saved once."""

VALIDATION_STEP = 0.4
"""What a validation step costs at most, in training steps: forward only. For the budget alone."""


@dataclass(frozen=True)
class Span:
    """How long a sample may take once it has its LEAST_BLOCKS, and how long it takes in any case,
    in seconds."""

    most_s: float
    least_s: float = 0.0


@dataclass
class Sample:
    """Raw times of one stepper, in seconds; the lists hold one number a measurement.

    `first_s` is the very first step, tracing included; `partials` stays empty where the data set
    divides evenly.
    """

    first_s: float = 0.0
    blocks: List[Block] = field(default_factory=list)
    overheads: List[float] = field(default_factory=list)
    partials: List[float] = field(default_factory=list)

    def add(self, done: Pass) -> None:
        """Take over what a pass measured."""
        self.first_s += done.first_s
        self.blocks += done.blocks
        if done.complete:
            self.overheads.append(done.overhead_s)
            if done.partial_s:
                self.partials.append(done.partial_s)

    def parts(self) -> Dict[str, Any]:
        """All but the blocks, for the timing file."""
        return {
            "first_s": self.first_s,
            "overheads": self.overheads,
            "partials": self.partials,
        }


def precise(sample: List[Block]) -> bool:
    """Whether the blocks agree well enough to stop before the budget is spent."""
    chosen = blocks.long_ones(sample)
    if len(chosen) < MIN_BLOCKS:
        return False
    rates = [block.seconds / block.steps for block in chosen]
    # Student's t at 95%, near enough (and never below it) from ten blocks on.
    quantile = 1.96 + 2.72 / (len(rates) - 1)
    half = quantile * stdev(rates) / math.sqrt(len(rates))
    return half <= CLOSE * mean(rates)


def enough(known: List[Block], spent_s: float, span: Span) -> bool:
    """Whether the blocks that were measured in `spent_s` do for a sample."""
    if len(known) < LEAST_BLOCKS:
        return False
    return spent_s >= span.most_s or (spent_s >= span.least_s and precise(known))


def projected(so_far: Pass, steps: int, validation_steps: int, epochs: int) -> float:
    """Seconds the whole training would take, roughly: only to choose a budget by."""
    measured = sum(block.steps for block in so_far.blocks)
    step_s = sum(block.seconds for block in so_far.blocks) / measured
    return epochs * step_s * (steps + VALIDATION_STEP * validation_steps)


def budget(total_s: float, asked: Optional[float]) -> float:
    """Seconds to spend on training blocks for a training of `total_s`."""
    return asked if asked is not None else min(MOST_S, max(LEAST_S, FRACTION * total_s))


def sample_more(
    stepper: Stepper,
    sample: Sample,
    pace: Pace,
    clock: Clock,
    span: Span,
    on_block: Callable[[int, Block], None],
) -> None:
    """Measure blocks, over as many passes as it takes, until they are `enough`; then the parts of a
    pass that the blocks do not hold. Where no batch is full there are these parts alone."""
    start = clock()

    def enough_with(now: Pass) -> bool:
        return enough(sample.blocks + now.blocks, clock() - start, span)

    epoch = 1
    while stepper.images >= stepper.batch_size and not enough_with(Pass()):
        sample.add(blocks.run_pass(stepper, epoch, pace, clock, on_block, enough_with))
        epoch += 1
    for _ in range(PARTS):
        ends = blocks.run_ends(stepper, epoch, clock)
        sample.overheads.append(ends.overhead_s)
        if ends.partial_s:
            sample.partials.append(ends.partial_s)
        epoch += 1


def time_saves(save: Callable[[], None], sync: Callable[[], None], clock: Clock) -> List[float]:
    """Seconds of some saves in a row; of one alone where it takes long."""
    times: List[float] = []
    while len(times) < PARTS and (not times or times[0] < LONG_PART_S):
        times.append(blocks.time(partial(save), sync, clock))
    return times
