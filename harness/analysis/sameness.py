"""Whether two cases are the same benchmark, and what differs where they are not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from harness.analysis.identity import SOFTWARE, case_key
from harness.model import Record

BASE, NEW = "BASE", "NEW"
UNNAMED = "the workload or the protocol"
"""What a case key holds and neither an older run's case nor its dataset tells."""

_CASE = (
    "model",
    "framework",
    "protocol",
    "batch_size",
    "precision",
    "jit",
    "deterministic",
    "weights",
    "overrides",
)
_HASH = 64
_SHORT = 12


class Sameness(str, Enum):
    """By the case key and the software key."""

    IDENTICAL = "identical"
    COMPARABLE = "software differs"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Difference:
    """One thing that differs; both values None where only its name is known."""

    name: str
    base: str | None = None
    new: str | None = None

    def __str__(self) -> str:
        if self.base is None and self.new is None:
            return self.name
        return f"{self.name}: {self.base} in {BASE}, {self.new} in {NEW}"


@dataclass(frozen=True)
class Likeness:
    """`differences` is empty where the benchmark is identical, else never."""

    sameness: Sameness
    differences: tuple[Difference, ...] = ()


Ingredients = Mapping[str, Any]


def likeness(
    base: Sequence[Record], new: Sequence[Record], of_base: Ingredients, of_new: Ingredients
) -> Likeness:
    """Of all records of one case on each side, neither empty.

    `of_base` and `of_new` are what the run says its case key was made from, empty where it does
    not; what does not make the records' key is not believed.
    """
    keys = [{record.case_key for record in side} for side in (base, new)]
    if len(keys[0] | keys[1]) == 1:
        differing = software(base, new)
        return Likeness(Sameness.COMPARABLE if differing else Sameness.IDENTICAL, differing)
    mixed = tuple(
        Difference(f"the repeats of {side} among themselves")
        for side, found in ((BASE, keys[0]), (NEW, keys[1]))
        if len(found) > 1
    )
    named = mixed or _named(base[0], new[0], of_base, of_new)
    return Likeness(Sameness.NOT_COMPARABLE, named or (Difference(UNNAMED),))


def software(base: Iterable[Record], new: Iterable[Record]) -> tuple[Difference, ...]:
    """What the workloads reported that differs, of the names in identity.SOFTWARE."""
    told = [[record for record in side if record.software_key] for side in (base, new)]
    if not all(told):
        here = ["told" if side else "not told" for side in told]
        return (Difference("software", *here),)
    differing = []
    for name in SOFTWARE:
        values = [sorted({_text(r.versions.get(name)) for r in side}) for side in told]
        if values[0] != values[1] or len(values[0]) > 1:
            differing.append(Difference(name, *(" and ".join(side) for side in values)))
    return tuple(differing)


def _named(
    base: Record, new: Record, of_base: Ingredients, of_new: Ingredients
) -> tuple[Difference, ...]:
    data = _data(base, new)
    if _makes(of_base, base) and _makes(of_new, new):
        without = ("dataset",) if data else ()
        return (*data, *_differing(_flat(of_base), _flat(of_new), without))
    return (*data, *_differing(_fields(base), _fields(new)))


def _fields(record: Record) -> dict[str, Any]:
    return _flat({name: getattr(record.case, name) for name in _CASE})


def _makes(ingredients: Ingredients, record: Record) -> bool:
    return bool(ingredients) and case_key(ingredients) == record.case_key


def _data(base: Record, new: Record) -> tuple[Difference, ...]:
    if base.dataset.sha256 == new.dataset.sha256:
        return ()
    told = [
        f"{r.dataset.name}{' (synthetic)' if r.dataset.synthetic else ''} {_text(r.dataset.sha256)}"
        for r in (base, new)
    ]
    return (Difference("dataset", *told),)


def _differing(
    base: Ingredients, new: Ingredients, without: Sequence[str] = ()
) -> tuple[Difference, ...]:
    return tuple(
        Difference(name, _text(base.get(name)), _text(new.get(name)))
        for name in dict.fromkeys((*base, *new))
        if name not in without and base.get(name) != new.get(name)
    )


def _flat(value: Ingredients, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level: ``env.OMP_NUM_THREADS``."""
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            flat |= _flat(inner, f"{prefix}{name}.")
        else:
            flat[prefix + name] = inner
    return flat


def _text(value: object) -> str:
    """As a reader wants it: a checksum by its beginning, what is missing as ``none``."""
    if value is None:
        return "none"
    text = str(value)
    is_hash = len(text) == _HASH and set(text) <= set("0123456789abcdef")
    return text[:_SHORT] if is_hash else text
