"""Which batch to try next. Pure: what the probes found goes in, a batch size comes out.

The memory that a step needs grows with the batch along a line. Two small probes give the line,
the limit tells where it ends, and the batches on both sides of that point are tried. What is said
to fit has always been run; the line only saves probes. Where it errs a little, or nothing is known
of memory or limit, the steps away from where it ended grow fourfold; where it errs by far, what
lies between a batch that fits and one that does not is halved.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

FIRST = 16
"""The first batch that is tried."""
APART = 4
"""The first two probes are a factor of this apart: near ones would make a poor line."""
FAR = 1.2
"""A line that ends this many times beyond a batch that does not fit says nothing of the batches
between: small ones may all take the same memory."""
DIGITS = 5
"""Binary digits of the batch sizes that are tried: neighbours differ by at most 1/16 of them."""


class Found(str, Enum):
    """What became of a batch."""

    OK = "ok"
    PRESSURE = "pressure"
    OOM = "oom"


@dataclass(frozen=True)
class Probe:
    """A batch that was tried; `peak` is the memory it took, in bytes, where that is known."""

    batch: int
    found: Found
    peak: int | None = None

    @property
    def fits(self) -> bool:
        return self.found is not Found.OOM


def sizes(most: int) -> list[int]:
    """The batch sizes from 1 to `most` that are tried: those of few binary digits, and `most`."""
    steps = [max(0, size.bit_length() - DIGITS) for size in range(1, most + 1)]
    fine = [size for size, step in enumerate(steps, 1) if size % (1 << step) == 0]
    return fine if fine[-1] == most else [*fine, most]


def next_batch(probes: Sequence[Probe], limit: int | None, most: int) -> int | None:
    """The batch to try next, of at most `most`; None where all is known to the resolution.

    `limit` is the memory that there is, in bytes, of the kind that the peaks are of.
    """
    grid = sizes(most)
    bracket = Bracket.of(probes, grid)
    if bracket.open:
        return grid[_within(bracket, probes, limit, grid)]
    return _between_ok_and_pressure(probes, grid)


@dataclass(frozen=True)
class Bracket:
    """Places in the grid: the largest batch that fits (-1: none known), the smallest that does
    not (the grid's length: none known)."""

    low: int
    high: int

    @classmethod
    def of(cls, probes: Sequence[Probe], grid: Sequence[int]) -> Bracket:
        """A batch that fitted although a smaller one did not counts as too large."""
        failed = min((p.batch for p in probes if not p.fits), default=grid[-1] + 1)
        fitted = max((p.batch for p in probes if p.fits and p.batch < failed), default=0)
        return cls(bisect_right(grid, fitted) - 1, bisect_left(grid, failed))

    @property
    def open(self) -> bool:
        """Whether batches lie between the two."""
        return self.high - self.low > 1

    def clip(self, place: int) -> int:
        """The nearest place between the two."""
        return min(max(place, self.low + 1), self.high - 1)

    @property
    def middle(self) -> int:
        return self.clip((self.low + self.high) // 2)


def _within(bracket: Bracket, probes: Sequence[Probe], limit: int | None, grid: list[int]) -> int:
    """The place in the grid to try next, inside the bracket."""

    def at(batch: int) -> int:
        return bracket.clip(bisect_right(grid, batch) - 1)

    none_fails = bracket.high == len(grid)
    if bracket.low < 0:  # nothing has fitted yet
        return at(FIRST) if none_fails else at(grid[bracket.high] // APART)
    fitted = [p for p in probes if p.fits and p.batch <= grid[bracket.low]]
    end = _end_of_line(fitted, limit)
    if end is not None:
        if not none_fails and grid[bracket.high] * FAR < end:
            return bracket.middle
        return _beside(bracket, probes, bisect_right(grid, min(end, grid[-1])) - 1, grid)
    if none_fails:
        return at(grid[bracket.low] * APART)
    smaller = _for_a_line(fitted, limit, grid)
    return bracket.middle if smaller is None else smaller


def _for_a_line(fitted: Sequence[Probe], limit: int | None, grid: list[int]) -> int | None:
    """The place of a smaller batch than the only one that fitted: two make a line."""
    known = [p.batch for p in fitted if p.peak is not None]
    if limit is None or len(known) != 1 or len(fitted) != 1 or known[0] < APART:
        return None
    return bisect_right(grid, known[0] // APART) - 1


def _end_of_line(fitted: Sequence[Probe], limit: int | None) -> int | None:
    """The largest batch below `limit` on the line through the two largest probes."""
    points = sorted({p.batch: p.peak for p in fitted if p.peak is not None}.items())
    if limit is None or len(points) < 2:
        return None
    (batch, peak), (larger, more) = points[-2:]
    if more <= peak:
        return None
    return max(0, larger + (limit - more) * (larger - batch) // (more - peak))


def _beside(bracket: Bracket, probes: Sequence[Probe], end: int, grid: list[int]) -> int:
    """Where the line ends; once that is tried, away from it by 1, 4, 16… but never past the middle
    of a bracket that is known on both sides."""
    if bracket.low < end < bracket.high:
        return end
    past = bracket.low >= end
    tried = [bisect_left(grid, p.batch) for p in probes if p.fits is past]
    wrong = sum(place >= end if past else place <= end for place in tried)
    step = 1 << 2 * max(0, wrong - 1)
    if bracket.high < len(grid):
        step = min(step, max(1, (bracket.high - bracket.low) // 2))
    return bracket.clip(bracket.low + step if past else bracket.high - step)


def _between_ok_and_pressure(probes: Sequence[Probe], grid: list[int]) -> int | None:
    """The boundary is known: halve what lies between the last ok and the first pressure."""
    failed = min((p.batch for p in probes if not p.fits), default=grid[-1] + 1)
    fitted = [p for p in probes if p.fits and p.batch < failed]
    ok = max((p.batch for p in fitted if p.found is Found.OK), default=0)
    pressed = [p.batch for p in fitted if p.found is Found.PRESSURE and p.batch > ok]
    if not pressed:
        return None
    bracket = Bracket(bisect_right(grid, ok) - 1, bisect_left(grid, min(pressed)))
    return grid[bracket.middle] if bracket.open else None
