"""What it cost, and what the whole protocol would: as a section, and the same as data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from harness.analysis.cost import CaseCost, Figure, Price, RunCost, run_cost
from harness.catalog import protocols
from harness.report.baselines import PREDICTED, SYNTHETIC
from harness.results.reading import Run
from harness.units import human_seconds, named

TITLE = "Cost"
ASSUMPTION = "price times time on this machine, the machine's idle time not included"
SHARES = "cases that ran beside each other are charged the whole machine each"
HEADERS = ["case", "attempts", "as measured", "full protocol", "per million images trained"]
SMALLEST = 1e-6
MOST_ROWS = 200
"""That somebody reads; JSON has them all."""

Grid = Callable[..., str]


MOST_NAMED = 3
"""Cases that a note names one by one."""
NO_SUM = "no one sum, for an attempt's price or times are not known or in another currency, of"


@dataclass(frozen=True)
class Priced(Run):
    """A run whose price the reader named, whatever its own run.json says."""

    price: Price = field(kw_only=True)

    @classmethod
    def at(cls, price: Price, run: Run) -> Priced:
        return cls(run.path, run.info, run.records, run.elsewhere, price=price)


def section(runs: Sequence[Run], grid: Grid, heading: str) -> list[str]:
    """The section as parts to be joined by newlines; none where no price is known."""
    costs = _costs(runs)
    if not costs:
        return []
    cases = [(_name(run, runs), case) for run, found in costs for case in found.cases]
    notes = [ASSUMPTION]
    notes += [_start(_name(run, runs), found, isinstance(run, Priced)) for run, found in costs]
    notes += [SHARES] if any(case.beside for _, case in cases) else []
    unpriced = [case_id for _, found in costs for case_id in found.unpriced]
    notes += [f"no price is known for {named(unpriced, MOST_NAMED)}"] if unpriced else []
    torn = [case.case_id for _, case in cases if case.measured is None and not case.shared]
    notes += [f"{NO_SUM} {named(torn, MOST_NAMED)}"] if torn else []
    told = [f"- {note}" for note in notes]
    return ["", heading.format(TITLE), *_table(cases, len(runs) > 1, grid), *told]


def as_data(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Each run whose price is known, with its cases; amounts in the currency of their price."""
    return [
        _plain(run.info.machine, found, "--price" if isinstance(run, Priced) else "run.json")
        for run, found in _costs(runs)
    ]


def money(amount: float, currency: str) -> str:
    """``12.40 USD``; below 1, three digits that say something: ``0.0132 USD``."""
    return f"{_digits(amount)} {currency}"


def _digits(amount: float) -> str:
    if 0 < amount < SMALLEST:
        return f"<{SMALLEST:.6f}"
    rounded = float(f"{amount:.3g}")
    if rounded <= 0 or rounded >= 1:
        return f"{amount:.2f}"
    return f"{amount:.{2 - math.floor(math.log10(rounded))}f}"


def _name(run: Run, runs: Sequence[Run]) -> str:
    """The run's id, and its machine where the run measured on several."""
    parts = sum(1 for one in runs if one.info.run_id == run.info.run_id)
    return run.info.run_id if parts == 1 else f"{run.info.run_id}@{run.info.machine}"


def _costs(runs: Sequence[Run]) -> list[tuple[Run, RunCost]]:
    """Of those whose price is known; a run of several machines was got ready once."""
    known: dict[str, list[tuple[Run, RunCost]]] = {}
    for run in runs:
        found = run_cost(run, protocols(), run.price if isinstance(run, Priced) else None)
        if found is not None:
            same = known.setdefault(found.run_id, [])
            same.append((run, replace(found, preparations=()) if same else found))
    return [one for same in known.values() for one in same]


def _plain(machine: str, found: RunCost, source: str) -> dict[str, Any]:
    return {
        "run_id": found.run_id,
        "machine": machine,
        "price_from": source,
        "assumption": ASSUMPTION,
        "prices": [asdict(price) for price in found.prices],
        "preparation": [{**asdict(one), "amount": one.amount} for one in found.preparations],
        "cases": [asdict(case) for case in found.cases],
        "unpriced": found.unpriced,
    }


# ------------------------------------------------------------------ the table


def _table(cases: Sequence[tuple[str, CaseCost]], several: bool, grid: Grid) -> list[str]:
    """One row a case, its run named where there are others."""
    if not cases:
        return []
    if len(cases) > MOST_ROWS:
        return [f"{len(cases)} cases: --format json has them all", ""]
    rows = [[*([run_id] if several else []), *_row(case)] for run_id, case in cases]
    return [grid(rows, headers=[*(["run"] if several else []), *HEADERS]), ""]


def _row(case: CaseCost) -> list[str]:
    mark = SYNTHETIC if case.synthetic else ""
    currency = case.price.currency
    spent = "" if case.measured is None else money(case.measured, currency) + mark
    return [
        case.case_id,
        str(case.attempts),
        "shared" if case.shared else spent,
        _full(case, mark),
        _figure(case.per_million_images, currency, mark),
    ]


def _full(case: CaseCost, mark: str) -> str:
    """The protocol's cost, or why there is none."""
    if case.protocol is not None:
        return _figure(case.protocol, case.price.currency, mark)
    if case.ended:
        return ", ".join(case.ended) + mark
    return "" if case.whole else f"{case.protocol_name} is cut short"


def _figure(found: Figure | None, currency: str, mark: str) -> str:
    if found is None:
        return ""
    about = PREDICTED if found.predicted else ""
    between = f" ({' to '.join(map(_digits, found.interval))})" if found.interval else ""
    return f"{about}{money(found.amount, currency)}{mark}{between}"


# ------------------------------------------------------------------ the notes


def _start(name: str, found: RunCost, named_now: bool) -> str:
    """The run's price, and what getting ready came to, where it is told here."""
    prices = ", then ".join(f"{price.per_hour:.10g} {price.currency}" for price in found.prices)
    source = " (--price)" if named_now else ""
    told = f"{name}: {prices} an hour{source}"
    return f"{told}; {_preparation(found)}" if found.preparations else told


def _preparation(found: RunCost) -> str:
    what = "getting ready (data, image, set-up), in no figure above"
    known, seconds, spent = 0, 0.0, dict[str, float]()
    for one in found.preparations:
        if one.seconds is not None and one.price is not None:
            known += 1
            seconds += one.seconds
            currency = one.price.currency
            spent[currency] = spent.get(currency, 0.0) + one.price.of(one.seconds)
    if not known:
        return f"{what}: not recorded"
    total = " and ".join(money(amount, currency) for currency, amount in spent.items())
    return f"{what}: {total}, {human_seconds(seconds)}{_starts(known, len(found.preparations))}"


def _starts(known: int, every: int) -> str:
    if every == 1:
        return ""
    return f" in {known} starts" if known == every else f" in {known} of {every} starts"
