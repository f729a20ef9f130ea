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
from .contract import MIN_BLOCK_S

PAIRS = 3
"""So many whose ordinary block is long enough to count."""
ENOUGH_S = 12.0
"""No pair is begun after so many seconds, but for the first."""
AHEAD = 8
"""Batches that a feed makes ahead at most, while nothing asks for one: a part of an ordinary block
begins after these are used up."""


def compare(trainer: Trainer, pace: Pace, clock: Clock) -> Dict[str, List[Dict[str, Any]]]:
    """Blocks, ``ordinary`` and ``resident`` by turns, those of a pair of the same length.

    Empty where a pass holds less than two full batches.
    """
    full = trainer.images // trainer.batch_size
    ordinary: List[Block] = []
    resident: List[Block] = []
    counting = 0
    if full > 1:
        held = trainer.resident()
        trainer.begin(0)
        held.run(1)  # whatever it has to make first
        held.sync()
        start = clock()
        while counting < PAIRS and (not resident or clock() - start < ENOUGH_S):
            count = pace.steps
            ordinary.append(_ordinary(trainer, count, full, clock))
            resident.append(run_block(held, count, clock))
            pace.learn(ordinary[-1])  # a neighbour that has left made the blocks before shorter
            counting += ordinary[-1].seconds >= MIN_BLOCK_S
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
