"""How one pass over a data set is timed. Pure: the clock and the device are handed in.

Time is taken in blocks of many steps. The clock is read only when the device has nothing left to
do, that is directly after a synchronisation, and nothing is printed or computed inside a block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Tuple

from .backend import Stepper
from .contract import MIN_BLOCK_S

TARGET_BLOCK_S = 1.25
"""What block lengths aim at: the minimum, with room for a device that becomes faster."""
FIRST_BLOCK_STEPS = 1
MAX_GROWTH = 10

Clock = Callable[[], float]


@dataclass(frozen=True)
class Block:
    """Some full batches in a row: number of steps, images in them, seconds they took.

    `start` is when they began on the machine's monotonic clock, which the host reads too.
    """

    steps: int
    images: int
    seconds: float
    start: float = field(default=0.0, compare=False)


@dataclass
class Pass:
    """One pass over a data set, or its beginning; all times in seconds.

    `complete` unless the pass was broken off. `first_s` is the process's first step, tracing and
    compiling included, where this pass had it; `partial_s` the last batch if it is smaller than
    the others; `overhead_s` making the new order and the iterator, resetting the metrics and
    reading them at the end.
    """

    overhead_s: float = 0.0
    first_s: float = 0.0
    partial_s: float = 0.0
    blocks: List[Block] = field(default_factory=list)
    metrics: Dict[str, Any] = field(default_factory=dict)
    complete: bool = True

    @property
    def seconds(self) -> float:
        """The sum of all measured parts."""
        return self.overhead_s + self.first_s + self.partial_s + sum(b.seconds for b in self.blocks)


class Pace:
    """How many steps a stepper's next block takes: grown until a block is long enough.

    It outlives the passes. `fresh` until the stepper's very first step, which traces and compiles.
    """

    def __init__(self) -> None:
        self.fresh = True
        self._steps = FIRST_BLOCK_STEPS

    @property
    def steps(self) -> int:
        """Steps of a block where nothing else limits it."""
        return self._steps

    def next(self, remaining: int) -> int:
        """Steps of the next block; a rest that would make no whole block is taken along."""
        return remaining if remaining < 2 * self._steps else self._steps

    def learn(self, block: Block) -> None:
        """Choose the following blocks' length from how long `block` took.

        It never shrinks: on a device of two speeds the fast blocks would become too short to be
        counted, and the slow ones would stand for all.
        """
        wanted = math.ceil(block.steps * TARGET_BLOCK_S / max(block.seconds, 1e-9))
        most = max(self._steps, block.steps) * MAX_GROWTH
        self._steps = max(self._steps, min(wanted, most))


def time(work: Callable[[], Any], sync: Callable[[], None], clock: Clock) -> float:
    """Seconds that `work` took, from an idle device to an idle device."""
    start, end = span(work, sync, clock)
    return end - start


def span(work: Callable[[], Any], sync: Callable[[], None], clock: Clock) -> Tuple[float, float]:
    """When `work` began and when it had ended, from an idle device to an idle device."""
    sync()
    start = clock()
    work()
    sync()
    return start, clock()


def run_block(stepper: Stepper, count: int, clock: Clock) -> Block:
    """The pass's next `count` full batches."""
    start, end = span(partial(stepper.run, count), stepper.sync, clock)
    return Block(count, count * stepper.batch_size, end - start, start)


def never(_so_far: Pass) -> bool:
    """The answer for a pass that is to be run to its end."""
    return False


def run_pass(
    stepper: Stepper,
    epoch: int,
    pace: Pace,
    clock: Clock,
    on_block: Callable[[int, Block], None],
    enough: Callable[[Pass], bool] = never,
) -> Pass:
    """Go once over the stepper's data set and time the parts.

    Args:
        epoch: which pass it is, from 0; decides the data's order.
        pace: the stepper's own; while it is fresh, the first step is timed apart.
        on_block: called between blocks with the number of steps done in this pass.
        enough: asked between blocks; True breaks the pass off there.
    """
    result = Pass()
    full, rest = divmod(stepper.images, stepper.batch_size)
    steps = full + (rest > 0)
    measure = partial(time, sync=stepper.sync, clock=clock)
    result.overhead_s = measure(partial(stepper.begin, epoch))
    done = 0
    if pace.fresh:
        pace.fresh = False
        result.first_s = measure(partial(stepper.run, 1))
        done = 1
    while done < full:
        count = pace.next(full - done)
        block = run_block(stepper, count, clock)
        result.blocks.append(block)
        pace.learn(block)
        done += count
        on_block(done, block)
        if done < full and enough(result):
            result.complete = False
            return result
    if done < steps:
        result.partial_s = measure(partial(stepper.run, 1))
    result.overhead_s += measure(lambda: result.metrics.update(stepper.metrics()))
    return result


def run_ends(stepper: Stepper, epoch: int, clock: Clock) -> Pass:
    """A pass without its full batches: its overhead and its smaller last batch alone."""
    result = Pass()
    full, rest = divmod(stepper.images, stepper.batch_size)
    measure = partial(time, sync=stepper.sync, clock=clock)
    result.overhead_s = measure(partial(stepper.begin, epoch))
    if rest:
        stepper.begin(epoch, full)
        result.partial_s = measure(partial(stepper.run, 1))
    result.overhead_s += measure(lambda: result.metrics.update(stepper.metrics()))
    return result


def long_ones(blocks: List[Block]) -> List[Block]:
    """The blocks that are long enough to stand for something."""
    return [block for block in blocks if block.seconds >= MIN_BLOCK_S]


def rate(blocks: List[Block]) -> Optional[float]:
    """Images per second over all blocks that are long enough; None where there is none."""
    chosen = long_ones(blocks)
    if not chosen:
        return None
    return sum(block.images for block in chosen) / sum(block.seconds for block in chosen)
