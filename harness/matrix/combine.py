"""The combinations of the axes, with what `include` adds to them; what `exclude` takes out. Pure.

As in the strategy matrix of a CI workflow. Entries are found by looking up their values, not by
trying each on every case: a file may hold thousands of both.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import InputError
from harness.matrix.schema import Matrix
from harness.model import Case

MAX_CASES = 100_000


@dataclass(frozen=True)
class Draft:
    """A case to be: its values, and the numbers of the include entries that had a say.

    `own`: no combination of the axes, but an entry that matched none.
    """

    choice: Mapping[str, Any]
    entries: tuple[int, ...] = ()
    own: bool = False


class Lookup:
    """Which of many partial matches a thing meets."""

    def __init__(self, wanted: Iterable[Mapping[str, Any]]) -> None:
        groups: dict[tuple[str, ...], dict[tuple[Any, ...], list[int]]] = {}
        for number, values in enumerate(wanted):
            table = groups.setdefault(tuple(values), defaultdict(list))
            table[tuple(values.values())].append(number)
        self._groups = groups

    def met_by(self, value_of: Callable[[str], Any]) -> tuple[int, ...]:
        """Their numbers, in order."""
        met: list[int] = []
        for names, table in self._groups.items():
            met += table.get(tuple(value_of(name) for name in names), ())
        return tuple(sorted(met))


def combine(matrix: Matrix, gpus: Sequence[str]) -> list[Draft]:
    """Every combination of the axes with what is included, once for each of `gpus`.

    An entry adds to the combinations that have its values on the axes, over the defaults; an entry
    that none has becomes a draft of its own. Raises InputError for more than MAX_CASES.
    """
    axes = {name: values for name, values in matrix.axes if values is not None}
    _at_most(math.prod(map(len, axes.values())), matrix)
    defaults = matrix.defaults.chosen()
    added = [entry.chosen() for entry in matrix.include]
    lookup = Lookup({k: v for k, v in values.items() if k in axes} for values in added)
    drafts: list[Draft] = []
    used: set[int] = set()
    # A file that lists cases by `include` alone has no combination beside them.
    for values in itertools.product(*axes.values()) if axes or not added else ():
        combination = dict(zip(axes, values, strict=True))
        entries = lookup.met_by(combination.__getitem__)
        used.update(entries)
        choice = {**defaults, **combination}
        for number in entries:
            choice |= added[number]
        drafts.append(Draft(choice, entries))
    drafts += [
        Draft({**defaults, **values}, (number,), own=True)
        for number, values in enumerate(added)
        if number not in used
    ]
    _at_most(sum(1 if "gpu" in draft.choice else len(gpus) for draft in drafts), matrix)
    return _on_each(drafts, gpus)


def _on_each(drafts: Sequence[Draft], gpus: Sequence[str]) -> list[Draft]:
    """What the file leaves open is measured on each of the command line's GPUs."""
    placed: list[Draft] = []
    for draft in drafts:
        if "gpu" in draft.choice:
            placed.append(draft)
        else:
            placed += [replace(draft, choice={**draft.choice, "gpu": gpu}) for gpu in gpus]
    return placed


def _at_most(count: int, matrix: Matrix) -> None:
    if count > MAX_CASES:
        raise InputError(
            f"{matrix.where('axes')}the matrix has {count} cases; at most {MAX_CASES} are taken",
            "shorten an axis, or make several files of it",
        )


def excluded(matrix: Matrix, cases: Sequence[Case]) -> set[int]:
    """Which of `cases`, by number, an entry of `exclude` takes out.

    Raises InputError for an entry that matches no case: it would silently do nothing. The GPU is
    let pass there where the command line chooses it, which the file cannot know.
    """
    wanted = [entry.chosen() for entry in matrix.exclude]
    _refuse_empty(matrix, wanted)
    out: set[int] = set()
    idle = set(range(len(wanted)))
    exact = Lookup(wanted)
    for number, case in enumerate(cases if wanted else ()):
        if entries := exact.met_by(_values_of(case)):
            out.add(number)
            idle.difference_update(entries)
    if idle and matrix.axes.gpu is None and matrix.defaults.gpu is None:
        anywhere = Lookup({k: v for k, v in values.items() if k != "gpu"} for values in wanted)
        hopeful = {number for number in idle if "gpu" in wanted[number]}
        for case in cases if hopeful else ():
            idle -= hopeful.intersection(anywhere.met_by(_values_of(case)))
    if idle:
        first = min(idle)
        values = ", ".join(f"{name}: {_written(value)}" for name, value in wanted[first].items())
        raise InputError(
            f"{matrix.where('exclude', first)}entry {first + 1} of exclude ({values}) matches no "
            "case of the matrix",
            "`harness plan FILE` shows the cases without it; correct the entry, or take it out",
        )
    return out


def _refuse_empty(matrix: Matrix, wanted: Sequence[Mapping[str, Any]]) -> None:
    for number, values in enumerate(wanted):
        if not values:
            raise InputError(
                f"{matrix.where('exclude', number)}entry {number + 1} of exclude is empty; it "
                "would take every case away",
                "name a value of an axis, such as {model: model-a}",
            )


def _values_of(case: Case) -> Callable[[str], Any]:
    return lambda name: getattr(case, name)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
