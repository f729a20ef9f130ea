"""What one should know before trusting a figure, and what helps. Pure; printed elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from harness.analysis.input_cost import BOUND_BELOW, may_wait_for_data, waits_for_data
from harness.analysis.pivot import TIMES, Group, figure
from harness.analysis.statistics import Summary, summarise
from harness.model import Disturbed, Record, Status

NOISY = 0.05
"""Standard deviation over mean from which repeats are called noisy."""
ENOUGH_REPEATS = 3
"""Repeats that a comparison needs."""

MUCH_OF_IT = 0.1
"""Share of the time under load from which a card held back is worth a word."""

Placed = tuple[str, Record]
"""A record behind its case's id, which follows the machine's name where there are several."""


class Kind(str, Enum):
    """What there is to know."""

    NOISY = "noisy"
    SLOW_FIRST = "slow first repeat"
    FEW_REPEATS = "too few repeats"
    PREDICTED_AND_MEASURED = "predicted beside measured"
    MIXED_MACHINES = "mixed machines"
    MIXED_BENCHMARKS = "mixed benchmarks"
    SYNTHETIC = "synthetic data"
    RETRIED = "retried"
    WEAK = "weak interval"
    UNSTEADY = "never steady"
    NEIGHBOURS = "measured beside others"
    DISTURBED = "disturbed"
    INPUT_BOUND = "input bound"
    INPUT_OPEN = "input bound or not"
    HELD_BACK = "held back"
    CARD_LOST = "GPU lost"
    NO_IMAGE = "not a pinned image"
    NO_DIGEST = "image without a digest"


@dataclass(frozen=True)
class Warning:  # noqa: A001 - the word that users know
    """`where` are case ids (behind the machine's name where there are several), or machines;
    `remedy` is what would help."""

    kind: Kind
    where: tuple[str, ...]
    message: str
    remedy: str


def summaries(records: Iterable[Record], value: str, least: int = 1) -> dict[str, Summary]:
    """By case id, over the repeats that completed, in their order; of at least so many repeats."""
    values: dict[str, list[float]] = {}
    for record in sorted(records, key=lambda r: r.repeat):
        found = figure(record, value) if record.status.completed else None
        if found is not None:
            values.setdefault(record.case_id, []).append(found)
    return {case_id: summarise(found) for case_id, found in values.items() if len(found) >= least}


def find_warnings(groups: Sequence[Group]) -> list[Warning]:
    """Everything there is to say of some runs; each kind once, with all the cases it is about."""
    records = placed(groups)
    found = [
        *_of_repeats(groups),
        *_kept(
            Kind.PREDICTED_AND_MEASURED,
            _mixed(records),
            "some figures are predicted, others measured whole",
            "measure all of them quick, or all of them full",
        ),
        *_kept(
            Kind.MIXED_MACHINES,
            [group.name for group in groups] if len(groups) > 1 else [],
            "figures of several machines stand in one table",
            "harness compare says which differences are shown",
        ),
        *_kept(
            Kind.MIXED_MACHINES,
            _several(records, lambda r: None if r.device.kind is None else r.device),
            "repeats of one case were measured on different devices",
            "choose one with --gpu",
        ),
        *_kept(
            Kind.MIXED_BENCHMARKS,
            _several(records, lambda r: (r.case_key, r.software_key)),
            "repeats of one case are of different requests or software: no median over them means "
            "anything",
            "report the runs one by one; harness compare says what differs",
        ),
    ]
    return found + [
        warning
        for kind, applies, message, remedy in _OF_RECORDS
        for warning in _kept(kind, [at for at, r in records if applies(r)], message, remedy)
    ]


def placed(groups: Iterable[Group]) -> list[Placed]:
    """All records of some machines."""
    return [(_place(group, r.case_id), r) for group in groups for r in group.records]


def _place(group: Group, case_id: str) -> str:
    return f"{group.name} {case_id}" if group.name else case_id


def _several(records: Sequence[Placed], what: Callable[[Record], object]) -> list[str]:
    """The cases of which the completed repeats do not agree in `what`; None says nothing."""
    first: dict[str, object] = {}
    apart = []
    for at, record in records:
        if record.status.completed and (found := what(record)) is not None:
            before = first.setdefault(at, found)
            if before is not found and before != found:
                apart.append(at)
    return apart


def _of_repeats(groups: Sequence[Group]) -> list[Warning]:
    noisy: list[str] = []
    first: list[str] = []
    few: list[str] = []
    for group in groups:
        for case_id, found in summaries(group.records, TIMES[0], 2).items():
            if found.variation is not None and found.variation > NOISY:
                noisy.append(_place(group, case_id))
            if found.slow_first is not None:
                first.append(_place(group, case_id))
            if len(found.values) < ENOUGH_REPEATS:
                few.append(_place(group, case_id))
    return [
        *_kept(
            Kind.NOISY,
            noisy,
            f"repeats vary by more than {NOISY:.0%} (standard deviation over mean)",
            "end other programs, or repeat until stable: --until-ci 1%",
        ),
        *_kept(
            Kind.SLOW_FIRST,
            first,
            "the first repeat was slower than the others by far",
            "it met cold caches: measure once more, or look at the median",
        ),
        *_kept(
            Kind.FEW_REPEATS,
            few,
            f"fewer than {ENOUGH_REPEATS} repeats",
            f"repeats: {ENOUGH_REPEATS} in the matrix, so that runs can be compared",
        ),
    ]


def _mixed(records: Sequence[Placed]) -> list[str]:
    done = [(at, record) for at, record in records if record.status.completed]
    predicted = [at for at, record in done if TIMES[0] in record.timing.predicted]
    return predicted if len(predicted) < len(done) else []


def _held_back(record: Record) -> bool:
    shares = record.limited_by or {}
    return any(shares.get(what, 0) > MUCH_OF_IT for what in ("thermal", "slowdown", "power-brake"))


_OF_RECORDS: tuple[tuple[Kind, Callable[[Record], bool], str, str], ...] = (
    (
        Kind.SYNTHETIC,
        lambda r: r.dataset.synthetic and r.case.dataset != r.dataset.name,
        "synthetic images stood in for the data set that is named",
        "harness data fetch",
    ),
    (
        Kind.RETRIED,
        lambda r: r.attempt > 1,
        "more than one attempt was needed",
        "records.jsonl says what became of the others",
    ),
    (
        Kind.WEAK,
        lambda r: r.status.completed and bool(r.timing.weak),
        "the interval of the prediction rests on few blocks",
        "give it more time: --budget 5m",
    ),
    (
        Kind.UNSTEADY,
        lambda r: r.timing.steady is False,
        "the speed, or the GPU's clock or temperature, never became steady",
        "see to neighbours, cooling and the power limit, and measure again",
    ),
    (
        Kind.NEIGHBOURS,
        lambda r: bool(r.beside) and r.status is not Status.INFRA,
        "other cases were measured on other GPUs at the same time",
        "measure without --parallel where the figures have to be exact",
    ),
    (
        Kind.DISTURBED,
        lambda r: r.status.completed and r.disturbed is Disturbed.YES,
        "something else used what it ran on: the figures are too slow",
        "see disturbed_by in the record, end it, and measure again",
    ),
    (
        Kind.INPUT_BOUND,
        lambda r: r.status.completed and waits_for_data(r.timing) is True,
        "training waited for its data, not for the device",
        "see to the processors and what else they do: the device itself is faster than this",
    ),
    (
        Kind.INPUT_OPEN,
        lambda r: r.status.completed and may_wait_for_data(r.timing),
        f"the input ratio is below {BOUND_BELOW}, and its pairs of blocks are too few or disagree: "
        "training may have waited for its data",
        "measure again with nothing else running: then they agree on it or on no waiting",
    ),
    (
        Kind.HELD_BACK,
        lambda r: r.status.completed and _held_back(r),
        f"heat or the board held the card's clocks down for over {MUCH_OF_IT:.0%} of the time",
        "see to its cooling; the figures are those of this card as it stands",
    ),
    (
        Kind.CARD_LOST,
        lambda r: bool(r.telemetry and r.telemetry.card_lost),
        "the card stopped answering NVML while the case ran",
        "look at it with nvidia-smi and in the kernel's log (dmesg)",
    ),
    (
        Kind.NO_IMAGE,
        lambda r: r.runtime == "local" and r.status.completed,
        "measured in a Python environment, not in a pinned image: another machine's may differ",
        "--runtime docker (or podman, apptainer); harness compare tells versions that differ",
    ),
    (
        Kind.NO_DIGEST,
        lambda r: r.image.pinned is False or bool(r.image.reference and r.image.digest is None),
        "no digest pins the image or the base it was built on: elsewhere it may be another one",
        "harness images verify says why; harness images pin puts a digest into the catalog",
    ),
)


def _kept(kind: Kind, where: Iterable[str], message: str, remedy: str) -> list[Warning]:
    places = tuple(dict.fromkeys(where))
    return [Warning(kind, places, message, remedy)] if places else []
