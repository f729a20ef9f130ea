"""A run that goes on: which of its results still count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import InputError
from harness.model import PlannedCase, Record, Status
from harness.results.run import RunInfo

NOT_RESULTS = frozenset({Status.INTERRUPTED, Status.INFRA})
"""Statuses that say nothing of the case: a run that goes on measures it again."""

Standing = Mapping[tuple[str, int], Record]


@dataclass(frozen=True)
class Kept:
    """Records that count as done, by case id and repeat, and what is measured again and why."""

    records: Standing
    again: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]


NOTHING_DONE = Kept({}, (), ())


def refuse_another_machine(info: RunInfo, machine_hash: str) -> None:
    """Raise InputError where the run was begun on another machine than this."""
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
) -> Kept:
    """The standing records that need not be measured again.

    A record counts where its case's key is unchanged and its status is a result of the case; a
    copy, where what it was copied from still stands. What counts and was measured by another
    runtime or in another image than now is told. `rerun` are more statuses to measure again.
    """
    again = NOT_RESULTS | set(rerun)
    cases = {case.id: case for case in planned}
    kept, changed, repeated, elsewhere = {}, [], [], []
    for (case_id, repeat), record in standing.items():
        if case_id not in cases:
            continue
        if record.case_key != cases[case_id].key:
            changed.append((case_id, repeat))
        elif record.status in again or _stale(record, standing):
            repeated.append((case_id, repeat))
        else:
            kept[case_id, repeat] = record
            if (record.runtime, record.image) != (runtime, cases[case_id].image):
                elsewhere.append(case_id)
    notes = [f"{len(kept)} results count as done"] if standing else []
    if changed:
        notes.append("measured again, since the case key has changed: " + _names(changed))
    if repeated:
        ended = [f"{name} #{n} ({standing[name, n].status.value})" for name, n in repeated]
        notes.append("measured again, for how it ended: " + _few(ended))
    if elsewhere:
        notes.append("done by another runtime or in another image than now: " + _few(elsewhere))
    return Kept(kept, (*changed, *repeated), tuple(notes))


def _stale(record: Record, standing: Standing) -> bool:
    """Whether a copy shows figures that its source no longer has."""
    if record.same_as is None:
        return False
    source = standing.get((record.same_as, record.repeat))
    return source is None or (source.attempt, source.started_at) != (
        record.attempt,
        record.started_at,
    )


def _names(pairs: Iterable[tuple[str, int]]) -> str:
    return _few(case_id for case_id, _ in pairs)


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
    return [f"changed since: {names} of {_few(cases)}" for names, cases in found.items()]


def _few(names: Iterable[str], most: int = 4) -> str:
    different = list(dict.fromkeys(names))
    more = len(different) - most
    return ", ".join(different[:most]) + (f" and {more} more" if more > 0 else "")
