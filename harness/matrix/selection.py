"""``--only key=v1,v2`` and ``--skip key=v``: some of the cases, by what they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.errors import InputError
from harness.matrix.names import known_name
from harness.model import Case

AXES = (
    "model",
    "dataset",
    "framework",
    "image",
    "batch_size",
    "precision",
    "jit",
    "deterministic",
    "protocol",
    "measure",
    "gpu",
    "weights",
)
KEYS = (*AXES, "tag", "id")

Wish = tuple[str, frozenset[str]]


@dataclass(frozen=True)
class Selection:
    """A case is taken that has one of the values of every `only` and of no `skip`."""

    only: tuple[Wish, ...] = ()
    skip: tuple[Wish, ...] = ()

    def takes(self, case: Case) -> bool:
        return all(_has(case, wish) for wish in self.only) and not any(
            _has(case, wish) for wish in self.skip
        )

    def of(self, cases: Iterable[Case]) -> list[Case]:
        """The cases taken, in their order. Raises InputError where none is left of some."""
        cases = list(cases)
        kept = [case for case in cases if self.takes(case)]
        if cases and not kept:
            raise InputError(
                f"--only and --skip leave none of the {len(cases)} cases", self._values(cases)
            )
        return kept

    def _values(self, cases: Sequence[Case]) -> str:
        told = [
            f"{key} is {', '.join(sorted({v for case in cases for v in _values(case, key)})[:8])}"
            for key in dict.fromkeys(key for key, _ in (*self.only, *self.skip))
        ]
        return "in this matrix " + "; ".join(told)


def parse_selection(only: Iterable[str] = (), skip: Iterable[str] = ()) -> Selection:
    """From the options' texts, each ``key=v1,v2``. Raises InputError."""
    return Selection(
        tuple(_wish("--only", text) for text in only), tuple(_wish("--skip", text) for text in skip)
    )


def _wish(option: str, text: str) -> Wish:
    key, equals, values = text.partition("=")
    chosen = frozenset(value.strip() for value in values.split(",") if value.strip())
    if not equals or not chosen:
        raise InputError(f"{option} {text!r} is not of the form key=value[,value]")
    try:
        return known_name("key", key.strip(), KEYS), chosen
    except ValueError as error:
        raise InputError(f"{option}: {error}") from error


def _has(case: Case, wish: Wish) -> bool:
    key, wanted = wish
    return not wanted.isdisjoint(_values(case, key))


def _values(case: Case, key: str) -> tuple[str, ...]:
    """A case's value for a key as it is written on a command line."""
    if key == "tag":
        return case.tags
    value = getattr(case, key)
    if isinstance(value, bool):
        return (str(value).lower(),)
    return ("default" if value is None else str(value),)
