"""What GPUs can compute at most, by the names that NVML gives them."""

from __future__ import annotations

import re
from functools import cache

from harness.catalog.toml import shipped
from harness.model import Frozen

_MEMORY_SIZE = re.compile(r"(-\d+GB)?")

_COMPUTES_IN = {
    "float32": "float32",
    "tf32": "tf32",
    "mixed_float16": "float16",
    "mixed_bfloat16": "bfloat16",
}


class Card(Frozen):
    """A GPU's peaks in FLOP/s, dense; None where none is known, or where it has no such cores.

    `float32` is that of its ordinary cores, the others that of its tensor cores, which add up in
    float32. `source` is the publication they are from.
    """

    names: tuple[str, ...]
    source: str
    float32: float | None = None
    tf32: float | None = None
    float16: float | None = None
    bfloat16: float | None = None

    def peak(self, precision: str) -> float | None:
        """FLOP/s at a case's precision, such as ``mixed_float16``."""
        field = _COMPUTES_IN.get(precision)
        known: float | None = getattr(self, field) if field else None
        return known


@cache
def cards() -> tuple[Card, ...]:
    """Every card whose peaks are known."""
    data = shipped("cards.toml")
    return tuple(
        Card(**{**entry, "source": data["sources"][entry["source"]]}) for entry in data["cards"]
    )


def card_of(name: str | None) -> Card | None:
    """The card that NVML calls `name`: of those whose names it begins with, the longest.

    Nothing but a memory size may follow: a Ti, a laptop's card or a slice (MIG) computes at another
    rate than what its name begins with. Drivers before 465 leave ``NVIDIA`` out.
    """
    told = _bare(name or "")
    found = {
        known: card
        for card in cards()
        for known in map(_bare, card.names)
        if told.startswith(known) and _MEMORY_SIZE.fullmatch(told[len(known) :])
    }
    return found[max(found, key=len)] if found else None


def _bare(name: str) -> str:
    return name.removeprefix("NVIDIA ")
