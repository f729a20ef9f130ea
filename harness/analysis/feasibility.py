"""Does this model fit this machine, and for how long? One verdict a model, from records. Pure.

Of one setting at a time: what is not the same framework, precision, protocol or limit is another
verdict, and so is another machine. Batches and datasets of one setting are weighed together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.analysis.fit import OUT_OF_MEMORY, PURPOSE, Fit, largest_batch
from harness.analysis.hours import Hours, hours_of
from harness.analysis.pivot import Group
from harness.analysis.verdict import FAILURES, Outcome, decide, facts_of
from harness.catalog import Protocol
from harness.model import Case, Record, Status

SETTING = (
    "framework",
    "protocol",
    "precision",
    "jit",
    "deterministic",
    "weights",
    "image",
    "gpu",
)
"""Fields of a case that make another verdict; overrides of memory and environment do too."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Evidence:
    """`attempts` of one case that ended as `status`; `probe`: they tried a batch out."""

    case_id: str
    batch: int
    status: Status
    attempts: int
    probe: bool = False


@dataclass(frozen=True)
class Verdict:
    """`setting` holds what tells it from the model's other verdicts, and all limits.

    `batch` is what the outcome is about, `asked` the protocol's. `hours` is empty where the whole
    protocol was not measured at `batch`; `whole` is False where the protocol itself is cut short,
    and says nothing of hours. `short_of_memory` counts refusals of an allocator in attempts that
    completed, `lost` the attempts at `batch` that ran out of it, of `attempts` in all; `short_at`
    is the smallest batch at which memory ran out. `against` is the record that speaks against the
    protocol's batch, or against a verdict.
    """

    machine: str
    model: str
    setting: Mapping[str, str]
    outcome: Outcome
    batch: int | None
    asked: int
    protocol: str
    whole: bool
    device: str | None
    processor: bool
    synthetic: bool
    hours: tuple[Hours, ...]
    short_of_memory: int
    attempts: int
    lost: int
    short_at: int | None
    fit: Fit | None
    against: Record | None
    evidence: tuple[Evidence, ...]


def verdicts(groups: Iterable[Group], protocols: Mapping[str, Protocol]) -> list[Verdict]:
    """One for each model of each machine and, where a model has several, each setting."""
    return [
        _verdict(group.name, setting, cases, records, protocols)
        for group in groups
        for by_case in [_by(lambda record: record.case_id, group.records)]
        for of_model in _by(lambda case: case.model, group.cases).values()
        for setting, cases, records in _settings(of_model, by_case)
    ]


def _by(key: Callable[[_T], str], values: Iterable[_T]) -> dict[str, list[_T]]:
    found: dict[str, list[_T]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return found


def _settings(
    cases: Sequence[Case], by_case: Mapping[str, Sequence[Record]]
) -> Iterable[tuple[dict[str, str], list[Case], list[Record]]]:
    """The settings of one model, each by what is its own, with its cases and records."""
    varying = [name for name in SETTING if len({getattr(case, name) for case in cases}) > 1]
    for same in _by(lambda case: str(_setting(case, SETTING)), cases).values():
        ids = {case.id for case in same}
        mine = [record for case in same for record in by_case.get(case.id, ())]
        # A twin of another case is the same measurement: it counts once.
        alone = [record for record in mine if record.same_as not in ids]
        yield _setting(same[0], varying), same, alone


def _setting(case: Case, names: Iterable[str]) -> dict[str, str]:
    told = {name: str(getattr(case, name)) for name in names}
    limits = ("memory_limit", "device_memory")
    return {
        **told,
        **{name: str(case.overrides[name]) for name in limits if name in case.overrides},
        **{name: str(value) for name, value in case.overrides.get("env", {}).items()},
    }


def _verdict(
    machine: str,
    setting: Mapping[str, str],
    cases: Sequence[Case],
    records: Sequence[Record],
    protocols: Mapping[str, Protocol],
) -> Verdict:
    one = cases[0]
    protocol = protocols.get(one.protocol)
    measured = [record for record in records if record.purpose != PURPOSE]
    fit = largest_batch(records)
    asked = _asked(cases, protocol)
    facts = facts_of(asked, measured, fit)
    outcome, batch = decide(facts)
    here = [record for record in measured if record.case.batch_size == batch]
    done = [record for record in here if record.status.completed]
    whole = protocol is not None and not (protocol.train_images or protocol.test_images)
    against = _against(outcome, batch, asked, records)
    sizes = {batch, against.case.batch_size if against else None}
    shown = [record for record in records if record.case.batch_size in sizes]
    return Verdict(
        machine=machine,
        model=one.model,
        setting=setting,
        outcome=outcome,
        batch=batch,
        asked=asked,
        protocol=one.protocol,
        whole=whole,
        device=_device(records),
        processor=_on_processor(cases, records),
        synthetic=any(record.dataset.synthetic for record in shown),
        hours=hours_of(done) if whole else (),
        short_of_memory=sum(record.memory.pressure_events for record in done),
        attempts=len(here),
        lost=sum(record.status in OUT_OF_MEMORY for record in here) if done else 0,
        short_at=min(facts.short, default=None),
        fit=fit if fit.largest or fit.oom else None,
        against=against,
        evidence=_evidence(shown),
    )


def _asked(cases: Sequence[Case], protocol: Protocol | None) -> int:
    """The protocol's batch; of one that is no longer known, the largest that was asked for."""
    known = protocol.batch_size.get(cases[0].model) if protocol else None
    return known or max(case.batch_size for case in cases)


def _against(
    outcome: Outcome, batch: int | None, asked: int, records: Iterable[Record]
) -> Record | None:
    """Why it is no better: memory before other failures, the protocol's batch before others.

    Where a smaller batch ran, it is what a larger one came to, the protocol's first.
    """

    def rank(record: Record) -> tuple[bool, bool, bool]:
        at_asked = record.case.batch_size == asked
        memory, failed = record.status in OUT_OF_MEMORY, record.status in FAILURES
        return (at_asked, memory, failed) if smaller else (memory, failed, at_asked)

    smaller = outcome is Outcome.SMALLER
    ended = [record for record in records if not record.status.completed]
    if outcome is Outcome.FEASIBLE:
        ended = []
    elif smaller:
        ended = [record for record in ended if record.case.batch_size > (batch or 0)]
    return max(ended, key=rank, default=None)


def _device(records: Iterable[Record]) -> str | None:
    names = dict.fromkeys(r.device.name or r.device.kind for r in records if r.device.kind)
    return " and ".join(str(name) for name in names) or None


def _on_processor(cases: Iterable[Case], records: Iterable[Record]) -> bool:
    kinds = {record.device.kind for record in records if record.device.kind}
    return kinds == {"cpu"} or (not kinds and all(case.gpu == "cpu" for case in cases))


def _evidence(records: Iterable[Record]) -> tuple[Evidence, ...]:
    counted = Counter(
        (record.case_id, record.case.batch_size, record.status, record.purpose == PURPOSE)
        for record in records
    )
    return tuple(
        Evidence(case_id, batch, status, attempts, probe)
        for (case_id, batch, status, probe), attempts in counted.items()
    )
