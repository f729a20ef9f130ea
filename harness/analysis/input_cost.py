"""What fetching the data costs a training, from blocks with it and blocks without. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.model import Timing
from harness.workload.contract import MIN_BLOCK_S

BOUND_BELOW = 0.97
"""Time without fetching over time with it, below which a training waits for its data."""

ENOUGH_PAIRS = 3
"""Fewer conclude nothing: single blocks of a shared machine differ by more than three per cent."""


@dataclass(frozen=True)
class InputCost:
    """`ratio` is the middle of the pairs' ratios. `bounds` are the lowest and the highest of them;
    None of too few."""

    ratio: float
    bounds: tuple[float, float] | None


def input_cost(told: Mapping[str, Sequence[Mapping[str, Any]]]) -> InputCost | None:
    """From what the workload measured side by side; None where it could not.

    A pair whose ordinary block was too short to stand for something does not count.
    """
    pairs = zip(told.get("ordinary", ()), told.get("resident", ()), strict=False)
    ratios = [
        (resident["seconds"] / resident["steps"]) / (ordinary["seconds"] / ordinary["steps"])
        for ordinary, resident in pairs
        if ordinary["seconds"] >= MIN_BLOCK_S
    ]
    if not ratios:
        return None
    enough = len(ratios) >= ENOUGH_PAIRS
    return InputCost(median(ratios), (min(ratios), max(ratios)) if enough else None)


def waits_for_data(timing: Timing) -> bool | None:
    """Whether every pair says that training waits for its data; None where too few were measured.

    One pair alone below the limit is what a neighbour's moment looks like.
    """
    bounds = timing.intervals.get("input_ratio")
    return None if bounds is None else bounds[1] < BOUND_BELOW


def may_wait_for_data(timing: Timing) -> bool:
    """Whether the ratio says that training waits for its data, and its pairs leave it open."""
    low = timing.input_ratio is not None and timing.input_ratio < BOUND_BELOW
    return low and waits_for_data(timing) is not True
