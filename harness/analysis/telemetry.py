"""Samples of a card and its machine while a case ran, and what they come to. Pure."""

from __future__ import annotations

import statistics
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import TypeVar

from harness.model import Telemetry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment; None where it could not be told.

    `t` in seconds of the monotonic clock; shares from 0 to 1; memory in bytes; `energy_j` counts
    from when the driver was loaded. `memory_utilisation` is the share of the time in which the
    card's memory was read or written, `reasons` NVML's bits for why clocks are not higher.
    `own` and `foreign` are the card's processes that belong to the case, and that do not.
    `lost`: the card no longer answers. Of the time since the sample before: `cpu` and `steal` are
    shares of all threads, `other_cpu` the part of `cpu` that neither the case nor the harness
    used, `throttled` the share in which a quota held the case back.
    """

    t: float
    utilisation: float | None = None
    memory_utilisation: float | None = None
    memory_used: int | None = None
    power_w: float | None = None
    temperature_c: int | None = None
    sm_mhz: int | None = None
    memory_mhz: int | None = None
    reasons: int | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    energy_j: float | None = None
    own: int | None = None
    foreign: int | None = None
    lost: bool = False
    cpu: float | None = None
    other_cpu: float | None = None
    steal: float | None = None
    host_memory_used: int | None = None
    throttled: float | None = None


COLUMNS = tuple(field.name for field in fields(Sample))


FEWEST_BUSY = 5
"""Samples within the training that tell how busy the card was: one second of them, over which NVML
itself averages at most."""

Window = tuple[float, float]
"""From and to, in seconds of the samples' clock."""


def summed_up(
    samples: Sequence[Sample], windows: Sequence[Window] = (), images: int = 0
) -> Telemetry:
    """The samples of one attempt, in the order of their times.

    `windows` are the training blocks, `images` those trained in them.
    """
    loaded = under_load(samples)
    energy, by = energy_over(samples, windows)
    return Telemetry(
        samples=len(samples),
        seconds=samples[-1].t - samples[0].t if samples else 0.0,
        utilisation=mean(s.utilisation for s in samples),
        busy=busy(samples, windows),
        memory_utilisation=_median(s.memory_utilisation for s in loaded),
        memory_used_peak=max(_known(s.memory_used for s in samples), default=None),
        power_w=_median(s.power_w for s in loaded),
        temperature_c_peak=max(_known(s.temperature_c for s in samples), default=None),
        sm_mhz=_median(s.sm_mhz for s in loaded),
        memory_mhz=_median(s.memory_mhz for s in loaded),
        sm_mhz_lowest=min(_known(s.sm_mhz for s in loaded), default=None),
        pcie_generation=max(_known(s.pcie_generation for s in loaded), default=None),
        pcie_width=max(_known(s.pcie_width for s in loaded), default=None),
        energy_j=energy,
        energy_by=by,
        energy_images=images if energy is not None else None,
        card_lost=any(s.lost for s in samples),
        cpu=mean(s.cpu for s in samples),
        other_cpu=mean(s.other_cpu for s in samples),
        throttled=mean(s.throttled for s in samples),
        steal=mean(s.steal for s in samples),
        host_memory_used_peak=max(_known(s.host_memory_used for s in samples), default=None),
    )


def under_load(samples: Iterable[Sample]) -> list[Sample]:
    """Those in which the card computed; an idle card's clocks and link are lowered."""
    return [sample for sample in samples if sample.utilisation]


def busy(samples: Iterable[Sample], windows: Sequence[Window]) -> float | None:
    """Mean utilisation within the windows, which are in order; None where too few samples tell.

    A reading tells of up to a second before it, so the first ones of a window that follows
    something else are a little off.
    """
    starts = [start for start, _ in windows]
    told = [
        sample.utilisation
        for sample in samples
        if sample.utilisation is not None
        and (at := bisect(starts, sample.t)) > 0
        and sample.t <= windows[at - 1][1]
    ]
    return statistics.fmean(told) if len(told) >= FEWEST_BUSY else None


def energy_over(
    samples: Sequence[Sample], windows: Sequence[Window]
) -> tuple[float | None, str | None]:
    """Joules in the windows, and whether by ``counter`` or ``power``; None where one is not known.

    A counter that starts anew is taken up from there. What was drawn between two samples is taken
    as drawn evenly. Windows that the samples do not cover, as where they come from another clock,
    give nothing.
    """
    for by, curve in (("counter", _counted(samples)), ("power", _powered(samples))):
        if windows and _covers(curve, windows):
            return sum(_at(curve, end) - _at(curve, start) for start, end in windows), by
    return None, None


Curve = list[tuple[float, float]]
"""Times and the joules drawn until then."""


def _counted(samples: Iterable[Sample]) -> Curve:
    told = [(s.t, s.energy_j) for s in samples if s.energy_j is not None]
    drawn = accumulate((max(b - a, 0.0) for (_, a), (_, b) in pairwise(told)), initial=0.0)
    return [(t, joules) for (t, _), joules in zip(told, drawn, strict=False)]


def _powered(samples: Iterable[Sample]) -> Curve:
    told = [(s.t, s.power_w) for s in samples if s.power_w is not None]
    steps = ((b - a) * (p + q) / 2 for (a, p), (b, q) in pairwise(told))
    drawn = accumulate(steps, initial=0.0)
    return [(t, joules) for (t, _), joules in zip(told, drawn, strict=False)]


def _covers(curve: Curve, windows: Sequence[Window]) -> bool:
    if len(curve) < 2:
        return False
    first, last = curve[0][0], curve[-1][0]
    return all(first <= start <= end <= last for start, end in windows)


def _at(curve: Curve, moment: float) -> float:
    """The joules drawn until `moment`, which the curve covers."""
    after = min(max(bisect(curve, moment, key=itemgetter(0)), 1), len(curve) - 1)
    (a, low), (b, high) = curve[after - 1], curve[after]
    return low + (high - low) * (moment - a) / (b - a) if b > a else high


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = _known(values)
    return statistics.fmean(known) if known else None


def _median(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return float(statistics.median(known)) if known else None


def _known(values: Iterable[T | None]) -> list[T]:
    return [value for value in values if value is not None]
