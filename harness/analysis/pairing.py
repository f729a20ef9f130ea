"""Which case of one run stands beside which of another. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model import Case

_BLANKS: Mapping[str, Any] = {"gpu": "auto", "image": None, "measure": "any"}

_LADDER: tuple[tuple[str, ...], ...] = (
    (),
    ("gpu",),
    ("gpu", "image"),
    ("gpu", "image", "measure"),
)
"""What is overlooked, step by step: none of it makes a case another benchmark."""

_TELLING = (
    "framework",
    "protocol",
    "batch_size",
    "precision",
    "jit",
    "deterministic",
    "weights",
    "measure",
    "image",
    "overrides",
    "gpu",
)


@dataclass(frozen=True)
class Pairing:
    """Pairs in the order of the first run; what is left of each side in its own order."""

    pairs: tuple[tuple[Case, Case], ...]
    only_base: tuple[Case, ...]
    only_new: tuple[Case, ...]


def pair(base: Sequence[Case], new: Sequence[Case]) -> Pairing:
    """The same id first, then the id without the GPU, the image and the measure.

    A step pairs only what is unambiguous on both sides: two GPUs of one run against the one GPU of
    another stay alone, unless they bear the same name.
    """
    found: dict[str, Case] = {}
    left_base, left_new = list(base), list(new)
    for overlooked in _LADDER:
        theirs = _unique(left_new, overlooked)
        for key, case in _unique(left_base, overlooked).items():
            if key in theirs:
                found[case.id] = theirs[key]
                left_base.remove(case)
                left_new.remove(theirs[key])
    return Pairing(
        tuple((case, found[case.id]) for case in base if case.id in found),
        tuple(left_base),
        tuple(left_new),
    )


def shared_id(base: Case, new: Case) -> str:
    """The pair's name: the id that both have, or BASE's without its GPU."""
    return base.id if base.id == new.id else _key(base, ("gpu",))


def nearest(case: Case, others: Iterable[Case]) -> str:
    """How the other run's most similar case of the same model and data differs; else empty."""
    alike = [o for o in others if (o.model, o.dataset) == (case.model, case.dataset)]
    if not alike:
        return ""
    return ", ".join(_apart(case, min(alike, key=lambda other: len(_apart(case, other)))))


def _apart(case: Case, other: Case) -> list[str]:
    return [
        f"{name} {_shown(getattr(other, name))} instead of {_shown(getattr(case, name))}"
        for name in _TELLING
        if getattr(other, name) != getattr(case, name)
    ]


def _unique(cases: Iterable[Case], overlooked: Sequence[str]) -> dict[str, Case]:
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(_key(case, overlooked), []).append(case)
    return {key: group[0] for key, group in groups.items() if len(group) == 1}


def _key(case: Case, overlooked: Sequence[str]) -> str:
    return case.model_copy(update={name: _BLANKS[name] for name in overlooked}).id


def _shown(value: object) -> str:
    return "default" if value is None else str(value)
