"""Warming a GPU up until it is as fast as it will stay. Pure but for what is handed in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

from . import blocks
from .backend import Reading, Stepper
from .blocks import Block, Clock, Pace, Pass

FLAT_FOR_S = 45.0
LIMIT_S = 180.0
CLOCK_SPREAD = 0.01
"""Clocks count as flat while they stay within this part of their mean."""
TEMPERATURE_SPREAD_C = 1


@dataclass(frozen=True)
class Heating:
    """How long the device was warmed, and whether clock and temperature were flat in the end.

    `steps` took `steps_s` of the `seconds`: they are a part of the training like any other.
    `partials` are the smaller last batches that it met; the first pays for what its shape needs.
    """

    seconds: float
    steps: int
    steps_s: float
    partials: List[float]
    steady: bool
    temperature_c: Optional[int]
    clock_mhz: Optional[int]

    def as_json(self) -> Dict[str, Any]:
        return dict(vars(self))


def heat(
    stepper: Stepper, pace: Pace, clock: Clock, read: Callable[[], Optional[Reading]]
) -> Heating:
    """Train until the readings are flat, for `LIMIT_S` at most.

    `read` gives None where the device tells nothing: then nobody can say that it is steady.
    """
    start = clock()
    history: Deque[Tuple[float, Reading]] = deque()
    last: Optional[Reading] = read()

    def done(_so_far: Pass) -> bool:
        nonlocal last
        now, last = clock(), read()
        if last is None or now - start >= LIMIT_S:
            return True
        history.append((now, last))
        return is_flat(history, now)

    measured: List[Block] = []
    partials: List[float] = []
    complete = True
    epoch = 1
    while complete:
        warming = blocks.run_pass(stepper, epoch, pace, clock, _silent, done)
        measured += warming.blocks
        partials += [warming.partial_s] if warming.partial_s else []
        complete = warming.complete and clock() - start < LIMIT_S
        epoch += 1
    now = clock()
    steady = last is not None and is_flat(history, now)
    temperature, mhz = last if last is not None else (None, None)
    steps, steps_s = sum(b.steps for b in measured), sum(b.seconds for b in measured)
    return Heating(now - start, steps, steps_s, partials, steady, temperature, mhz)


def is_flat(history: Deque[Tuple[float, Reading]], now: float) -> bool:
    """Whether the readings of the last `FLAT_FOR_S` differ too little to matter.

    Older ones are dropped but for the one that shows how far back the history reaches.
    """
    while len(history) > 1 and history[1][0] <= now - FLAT_FOR_S:
        history.popleft()
    if not history or history[0][0] > now - FLAT_FOR_S:
        return False
    temperatures = [reading[0] for _, reading in history]
    clocks = [reading[1] for _, reading in history]
    spread = max(clocks) - min(clocks)
    return max(temperatures) - min(
        temperatures
    ) <= TEMPERATURE_SPREAD_C and spread <= CLOCK_SPREAD * sum(clocks) / len(clocks)


def _silent(step: int, block: Block) -> None:
    del step, block
