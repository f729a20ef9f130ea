"""The measure ``fit``: a few steps of each kind, to see whether memory has room for a batch.

All that a whole training holds is there: the model, its optimizer, the whole data set, the
batches made ahead, the smaller last batch, the saved model. Only the number of steps is cut.
"""

from __future__ import annotations

from typing import Callable

from . import blocks
from .backend import Stepper
from .blocks import Block, Clock, Pace, Pass

BLOCKS = 2
"""Blocks of steps after the first step: 2 steps where they are slow, up to 11 where they are
not."""


def try_out(
    stepper: Stepper, clock: Clock, on_block: Callable[[int, Block], None] = lambda *_: None
) -> Pass:
    """The beginning of a pass over the stepper's data, and its end."""
    done = blocks.run_pass(stepper, 0, Pace(), clock, on_block, _enough)
    if not done.complete:
        # The smaller last batch has a shape, and with some compilers memory, of its own.
        ends = blocks.run_ends(stepper, 0, clock)
        done.partial_s, done.metrics = ends.partial_s, ends.metrics
    return done


def _enough(so_far: Pass) -> bool:
    return len(so_far.blocks) >= BLOCKS
