"""What fetching the data costs a training: blocks on data that lies on the device already, beside
ordinary ones.

Only for measure ``quick``, and after everything else: it trains the model on one batch again and
again, and none of it is in any total.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Dict, List

from .backend import Trainer
from .blocks import Block, Clock, Pace, run_block

PAIRS = 3
ENOUGH_S = 12.0
"""No pair is begun after so many seconds, but for the first."""
AHEAD = 8
"""Batches that a feed makes ahead at most, while nothing asks for one: a part of an ordinary block
begins after these are used up."""


def compare(trainer: Trainer, pace: Pace, clock: Clock) -> Dict[str, List[Dict[str, Any]]]:
    """Blocks of the same length, ``ordinary`` and ``resident`` by turns.

    Empty where a pass holds less than two full batches.
    """
    full = trainer.images // trainer.batch_size
    ordinary: List[Block] = []
    resident: List[Block] = []
    if full > 1:
        held = trainer.resident()
        trainer.begin(0)
        held.run(1)  # whatever it has to make first
        held.sync()
        start = clock()
        while len(resident) < PAIRS and (not resident or clock() - start < ENOUGH_S):
            ordinary.append(_ordinary(trainer, pace.steps, full, clock))
            resident.append(run_block(held, pace.steps, clock))
        trainer.metrics()
    return {
        "ordinary": [asdict(block) for block in ordinary],
        "resident": [asdict(block) for block in resident],
    }


def _ordinary(trainer: Trainer, count: int, full: int, clock: Clock) -> Block:
    """`count` steps as ever, over as many passes of `full` steps as it takes."""
    ahead = min(AHEAD, count, full - 1)
    parts: List[Block] = []
    left = count
    while left:
        trainer.begin(len(parts))
        trainer.run(ahead)
        parts.append(run_block(trainer, min(left, full - ahead), clock))
        left -= parts[-1].steps
    return Block(count, count * trainer.batch_size, sum(p.seconds for p in parts), parts[0].start)
