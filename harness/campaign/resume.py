"""A run that goes on: which of its results still count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from harness.errors import InputError
from harness.model import Disturbed, PlannedCase, Record, Status
from harness.results.run import RunInfo
from harness.units import named

NOT_RESULTS = frozenset({Status.INTERRUPTED, Status.INFRA})
"""Statuses that say nothing of the case: a run that goes on measures it again."""

_CHANGED = "since the case key has changed"
_ENDED = "for how it ended"
_SPOILT = "for something else disturbed it"

_named = partial(named, most=4)

Standing = Mapping[tuple[str, int], Record]


@dataclass(frozen=True)
class Kept:
    """Records that count as done, by case id and repeat, and what is measured again and why."""

    records: Standing
    again: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]


NOTHING_DONE = Kept({}, (), ())


def refuse_another_machine(info: RunInfo, machine_hash: str) -> None:
    """Raise InputError where the run was begun on another machine than this, which measures."""
    if info.machine_hash is not None and info.machine_hash != machine_hash:
        raise InputError(
            f"{info.run_id} was begun on another machine ({info.machine}); its figures and this "
            "machine's would be mixed",
            "start a run of its own here, and compare the two: harness compare",
        )


def keep(
    standing: Standing,
    planned: Sequence[PlannedCase],
    runtime: str,
    rerun: Iterable[Status],
    strict: bool = False,
) -> Kept:
    """The standing records that need not be measured again.

    A record counts where its case's key is one that it may have now, and its status is a result
    of the case; a copy, where what it was copied from still stands. What counts and was measured
    by another runtime or in another image than now is told. `rerun` are more statuses to measure
    again; `strict`: so is what something else disturbed.
    """
    again = NOT_RESULTS | set(rerun)
    cases = {case.id: case for case in planned}
    kept, elsewhere = {}, []
    repeated: dict[str, list[tuple[str, int]]] = {_CHANGED: [], _ENDED: [], _SPOILT: []}
    for (case_id, repeat), record in standing.items():
        if case_id not in cases:
            continue
        if record.case_key not in cases[case_id].keys:
            repeated[_CHANGED].append((case_id, repeat))
        elif record.status in again or _stale(record, standing):
            repeated[_ENDED].append((case_id, repeat))
        elif strict and disturbed(record):
            repeated[_SPOILT].append((case_id, repeat))
        else:
            kept[case_id, repeat] = record
            if _by_other_means(record, cases[case_id], runtime):
                elsewhere.append(case_id)
    notes = [f"{len(kept)} results count as done"] if standing else []
    for why, pairs in repeated.items():
        told = (f"{name} #{n} ({standing[name, n].status.value})" for name, n in pairs)
        names = told if why == _ENDED else (name for name, _ in pairs)
        notes += [f"measured again, {why}: {_named(names)}"] if pairs else []
    if elsewhere:
        notes.append("done by another runtime or in another image than now: " + _named(elsewhere))
    return Kept(kept, tuple(chain.from_iterable(repeated.values())), tuple(notes))


def _by_other_means(record: Record, case: PlannedCase, runtime: str) -> bool:
    """Whether another runtime or image made it than would now, as far as that is known now."""
    image = case.image.digest
    return runtime not in ("auto", record.runtime) or image not in (None, record.image.digest)


def disturbed(record: Record) -> bool:
    """Whether its figures are known to be spoilt by something else."""
    return record.status.completed and record.disturbed is Disturbed.YES


def _stale(record: Record, standing: Standing) -> bool:
    """Whether a copy shows figures that its source no longer has."""
    if record.same_as is None:
        return False
    source = standing.get((record.same_as, record.repeat))
    return source is None or (source.attempt, source.started_at) != (
        record.attempt,
        record.started_at,
    )


def changes(before: RunInfo, planned: Sequence[PlannedCase]) -> list[str]:
    """Which ingredients of case keys are others than when the run was begun, told."""
    found: dict[str, list[str]] = {}
    for case in planned:
        then = before.ingredients.get(case.id)
        if then is None:
            continue
        names = [name for name, now in case.ingredients.items() if then.get(name) != now]
        if names:
            found.setdefault(", ".join(names), []).append(case.id)
    return [f"changed since: {names} of {_named(cases)}" for names, cases in found.items()]


def interpreters(before: RunInfo, now: RunInfo) -> list[str]:
    """That another Python than the last one goes on, told; what it measured keeps its own keys."""
    then = [one.interpreter for one in before.invocations if one.interpreter is not None][-1:]
    goes_on = now.invocations[-1].interpreter
    if goes_on is None or not then or then == [goes_on]:
        return []
    return [f"another Python than before: {then[0]}; now {goes_on}"]
