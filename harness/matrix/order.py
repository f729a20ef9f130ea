"""The order in which the repeats of all cases are measured. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

ORDERS = ("interleaved", "written", "shuffled")
"""The first is what a file gets that names none: a machine that warms up, or a neighbour that comes
and goes, then spoils no case alone."""

T = TypeVar("T")


def in_order(
    cases: Sequence[T], repeats: int, order: str, seed: int | None = None
) -> list[tuple[int, T]]:
    """Pairs of repeat (from 1) and case.

    ``written`` measures all repeats of a case, then the next; ``interleaved`` spreads the repeats
    of a case over the run, so that what changes slowly on a machine meets all alike; ``shuffled``
    is a random order, the same again for the same `seed`.
    """
    spread = [(repeat, case) for repeat in range(1, repeats + 1) for case in cases]
    if order == "written":
        return [(repeat, case) for case in cases for repeat in range(1, repeats + 1)]
    if order == "shuffled":
        random.Random(seed).shuffle(spread)  # noqa: S311 - no secret
    return spread
