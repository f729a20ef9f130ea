"""What cases cost on a machine that is paid by the hour, and what their protocol would. Pure."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.analysis.fit import PURPOSE
from harness.analysis.pivot import figure
from harness.catalog.protocols import Protocol
from harness.model import Record
from harness.results.reading import Run
from harness.results.run import Invocation

CURRENCY = "USD"
"""Of a price that names none."""
HOUR_S = 3600.0
MILLION = 1_000_000

_CURRENCY = re.compile(r"[A-Z]{3}")
_PRICE = re.compile(r"\s*(\d{1,12}(?:\.\d{1,12})?)\s*([A-Za-z]+)?\s*", re.ASCII)


@dataclass(frozen=True)
class Price:
    """What an hour of the machine costs. Raises ValueError where it is no price."""

    per_hour: float
    currency: str = CURRENCY

    def __post_init__(self) -> None:
        if not (math.isfinite(self.per_hour) and self.per_hour > 0):
            raise ValueError(f"{self.per_hour:g} is no price per hour; write a number above 0")
        if _CURRENCY.fullmatch(self.currency) is None:
            raise ValueError(
                f"{self.currency!r} is no currency; write its three capital letters, such as EUR"
            )

    def of(self, seconds: float) -> float:
        """The price of `seconds`, in its currency."""
        return self.per_hour * seconds / HOUR_S


def parse_price(text: str, currency: str = CURRENCY) -> Price:
    """``1.29`` (in `currency`) or ``1.29EUR``. Raises ValueError."""
    match = _PRICE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no price per hour; write 1.29 or 1.29EUR")
    return Price(float(match[1]), match[2] or currency)


@dataclass(frozen=True)
class Figure:
    """An amount in the currency of its price. `interval` is that of a single prediction."""

    amount: float
    predicted: bool = False
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class CaseCost:
    """What one case cost, and what it would.

    `measured` is the amount for the wall time `seconds` of all its `attempts`, whatever they came
    to; None where one of them has no price or no times, where their currencies differ, and where
    `shared` names the case whose measurement it shows. `protocol` is the whole protocol (training,
    validation and inference) once, None where it is cut short (`whole` is False) or has no figure.
    Both it and `per_million_images` (trained) are at `price`, the last that is known.
    """

    case_id: str
    protocol_name: str
    price: Price
    attempts: int
    seconds: float | None
    measured: float | None
    shared: str | None
    whole: bool
    protocol: Figure | None
    per_million_images: Figure | None
    ended: tuple[str, ...]
    synthetic: bool
    beside: bool


@dataclass(frozen=True)
class Preparation:
    """Data, image and set-up of one start, in seconds and money; None where it is not known."""

    seconds: float | None
    price: Price | None

    @property
    def amount(self) -> float | None:
        if self.seconds is None or self.price is None:
            return None
        return self.price.of(self.seconds)


@dataclass(frozen=True)
class RunCost:
    """The costs of one run; getting ready is in no case's. `unpriced` cases have no price."""

    run_id: str
    prices: tuple[Price, ...]
    preparations: tuple[Preparation, ...]
    cases: tuple[CaseCost, ...]
    unpriced: tuple[str, ...]


def price_of(invocation: Invocation) -> Price | None:
    """What was said when it was started."""
    if invocation.price_per_hour is None:
        return None
    return Price(invocation.price_per_hour, invocation.currency or CURRENCY)


def run_cost(
    run: Run, protocols: Mapping[str, Protocol], price: Price | None = None
) -> RunCost | None:
    """The costs at `price`, or at what each invocation's was; None where no price is known."""
    started = [(one.started_at, price or price_of(one)) for one in run.info.invocations]
    known = dict.fromkeys(one for one in (price, *(p for _, p in started)) if one is not None)
    if not known:
        return None

    def charged(record: Record) -> Price | None:
        return price or _at(record.started_at, started)

    standing = _by_case(run.standing().values())
    cases, unpriced = [], []
    for case_id, attempts in _by_case(_attempts(run.records)).items():
        prices = [one for record in attempts if (one := charged(record)) is not None]
        if not prices:
            unpriced.append(case_id)
            continue
        protocol = protocols.get(attempts[0].case.protocol)
        whole = protocol is not None and not (protocol.train_images or protocol.test_images)
        cases.append(_case(attempts, standing.get(case_id, []), prices[-1], charged, whole))
    return RunCost(
        run_id=run.info.run_id,
        prices=tuple(known),
        preparations=tuple(
            Preparation(one.preparation_s, paid)
            for one, (_, paid) in zip(run.info.invocations, started, strict=True)
        ),
        cases=tuple(cases),
        unpriced=tuple(unpriced),
    )


def _attempts(records: Iterable[Record]) -> list[Record]:
    """Each attempt once; probes of ``harness fit`` measured nothing that has a cost to compare.

    A copy bears the number of the attempt that it was copied from.
    """
    known = {
        (record.case_id, record.repeat, record.attempt, record.same_as): record
        for record in records
        if record.purpose != PURPOSE
    }
    return list(known.values())


def _by_case(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.case_id, []).append(record)
    return found


def _case(
    attempts: Sequence[Record],
    standing: Sequence[Record],
    price: Price,
    charged: Callable[[Record], Price | None],
    whole: bool,
) -> CaseCost:
    own = [record for record in attempts if record.same_as is None]
    copies = [record.same_as for record in attempts if record.same_as is not None]
    walls = [wall for record in own if (wall := record.wall_s) is not None and wall >= 0]
    seconds = math.fsum(walls) if own and len(walls) == len(own) else None
    done = [record for record in standing if record.status.completed]
    return CaseCost(
        case_id=attempts[0].case_id,
        protocol_name=attempts[0].case.protocol,
        price=price,
        attempts=len(own),
        seconds=seconds,
        measured=None if seconds is None else _spent(own, price.currency, charged),
        shared=None if own else copies[-1],
        whole=whole,
        protocol=_protocol(done, price) if whole else None,
        per_million_images=_per_million(done, price),
        ended=tuple(dict.fromkeys(r.status.value for r in standing if not r.status.completed)),
        synthetic=any(record.dataset.synthetic for record in attempts),
        beside=any(record.beside for record in own),
    )


def _spent(
    attempts: Iterable[Record], currency: str, charged: Callable[[Record], Price | None]
) -> float | None:
    """All of the attempts, each at its own price; None where that is no one sum."""
    amounts = []
    for record in attempts:
        paid, wall = charged(record), record.wall_s
        if paid is None or wall is None or paid.currency != currency:
            return None
        amounts.append(paid.of(wall))
    return math.fsum(amounts)


# ------------------------------------------------------------------ what it would cost


def _protocol(done: Sequence[Record], price: Price) -> Figure | None:
    """Execution and inference in all; the bounds of the two are added, so the interval is wide."""
    parts = [_median(done, name) for name in ("total_execution_s", "total_inference_s")]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    predicted = any(part.predicted for part in known)
    bounds = [part.interval or (part.amount, part.amount) for part in known]
    told = predicted and all(part.interval for part in known if part.predicted)
    low, high = (price.of(math.fsum(side)) for side in zip(*bounds, strict=True))
    total = price.of(math.fsum(part.amount for part in known))
    return Figure(total, predicted, (low, high) if told else None)


def _per_million(done: Sequence[Record], price: Price) -> Figure | None:
    rate = _median(done, "images_per_s")
    if rate is None or rate.amount <= 0:
        return None
    return Figure(price.of(MILLION / rate.amount), rate.predicted)


def _median(done: Iterable[Record], name: str) -> Figure | None:
    """Over the repeats, those alone that were measured whole where one was."""
    given = [(record, value) for record in done if (value := figure(record, name)) is not None]
    if not given:
        return None
    measured = [(record, value) for record, value in given if name not in record.timing.predicted]
    counted = measured or given
    interval = counted[0][0].timing.intervals.get(name) if len(counted) == 1 else None
    known = interval is not None and not measured and all(map(math.isfinite, interval))
    value = statistics.median(value for _, value in counted)
    return Figure(value, not measured, interval if known else None)


# ------------------------------------------------------------------ whose price


def _at(moment: str, started: Sequence[tuple[str, Price | None]]) -> Price | None:
    """The price of the invocation that was at work then: the last one that began before."""
    if len({price for _, price in started}) == 1:
        return started[0][1]
    when = _time(moment)
    begun = [
        (at, price)
        for text, price in started
        if when is not None and (at := _time(text)) is not None and at <= when
    ]
    return max(begun, key=lambda one: one[0])[1] if begun else None


def _time(text: str) -> datetime | None:
    """None for what is no moment, or one without its zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
