"""Two questions about an attempt: did something else spoil it, and what held the card back.

The first spoils a result, the second is one. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.analysis.telemetry import Sample, mean, under_load
from harness.model import Disturbed

FEWEST = 5
"""Samples below which nothing is said."""

FOREIGN_SHARE = 0.01
"""Of the samples, so that another harness's short look at the card counts for nothing."""

OTHER_CPU, STEAL, THROTTLED = 0.10, 0.02, 0.01
"""Mean shares beyond which the host was disturbed."""

LIMITS = {
    0x02: "clocks",
    0x04: "power",
    0x08: "slowdown",
    0x10: "sync-boost",
    0x20: "thermal",
    0x40: "thermal",
    0x80: "power-brake",
    0x100: "display-clocks",
}
"""NVML's bits; ``clocks`` is a limit that somebody set, ``slowdown`` the board's own."""


class Disturbance(NamedTuple):
    """The answer and why: what disturbed it, or what could not be seen."""

    disturbed: Disturbed
    reasons: tuple[str, ...] = ()


def disturbance(samples: Sequence[Sample], on_gpu: bool, alone: bool = True) -> Disturbance:
    """Of the whole attempt. ``unknown`` where nothing was found and not all could be seen.

    Not `alone`: the harness measured other cases meanwhile, and their load is no stranger's.
    """
    if len(samples) < FEWEST:
        return Disturbance(disturbed=Disturbed.UNKNOWN, reasons=("too few samples",))
    found = tuple(_found(samples, alone))
    if found:
        return Disturbance(disturbed=Disturbed.YES, reasons=found)
    unseen = tuple(_unseen(samples, on_gpu, alone))
    kind = Disturbed.UNKNOWN if unseen else Disturbed.NO
    return Disturbance(disturbed=kind, reasons=unseen)


def limited_by(samples: Sequence[Sample]) -> dict[str, float] | None:
    """Share of the time under load that each thing held the clocks down, the largest first.

    None where the card does not say, or hardly computed.
    """
    told = [s.reasons for s in under_load(samples) if s.reasons is not None]
    if len(told) < FEWEST:
        return None
    shares = {
        name: sum(any(bits & bit for bit, n in LIMITS.items() if n == name) for bits in told)
        / len(told)
        for name in dict.fromkeys(LIMITS.values())
    }
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return {name: share for name, share in ordered if share > 0}


def _found(samples: Sequence[Sample], alone: bool) -> Iterator[str]:
    told = [s.foreign for s in samples if s.foreign is not None]
    strangers = sum(count > 0 for count in told)
    if _processes_seen(samples) and strangers > FOREIGN_SHARE * len(told):
        yield f"other processes were on the GPU for {strangers / len(told):.0%} of the time"
    other, steal, throttled = (
        mean(values)
        for values in (
            (s.other_cpu for s in samples),
            (s.steal for s in samples),
            (s.throttled for s in samples),
        )
    )
    if alone and other is not None and other > OTHER_CPU:
        yield f"other processes used {other:.0%} of the processors"
    if steal is not None and steal > STEAL:
        yield f"the virtual machine's host took {steal:.1%} of the processors' time (steal)"
    if throttled is not None and throttled > THROTTLED:
        yield f"a quota held its processors back in {throttled:.0%} of its periods"


def _unseen(samples: Sequence[Sample], on_gpu: bool, alone: bool) -> Iterator[str]:
    if on_gpu and not _processes_seen(samples):
        yield "the GPU's processes cannot be seen"
    if not alone:
        yield "the processors' other load cannot be told from that of the cases beside it"
    elif all(s.other_cpu is None for s in samples):
        yield "the processors' other load cannot be told from the case's"


def _processes_seen(samples: Sequence[Sample]) -> bool:
    """Whether NVML showed the case's own processes.

    In a container it lists none, or by other numbers, by which the case's own look foreign.
    """
    return any(s.own for s in samples)
