"""What a machine costs an hour, as it is written on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.analysis.cost import Price
    from harness.results.reading import Run


def price(per_hour: float | None, currency: str | None) -> Price | None:
    """What the machine costs, where that is said. Raises InputError."""
    from harness.analysis.cost import CURRENCY, Price

    if per_hour is None:
        if currency is not None:
            raise InputError("--currency is that of a price", "add --price-per-hour PRICE")
        return None
    try:
        return Price(per_hour, CURRENCY if currency is None else currency)
    except ValueError as error:
        what, _, advice = str(error).partition("; ")
        raise InputError(what, f"{advice}: --price-per-hour 1.29 --currency USD") from error


def price_of_each(
    per_hour: Sequence[float], currency: str | None, machines: int
) -> list[Price | None]:
    """What each of so many machines costs: one for all, or one each. Raises InputError."""
    if len(per_hour) > 1 and len(per_hour) != machines:
        raise InputError(
            f"--price-per-hour is given {len(per_hour)} times, and {machines} "
            f"{'machine measures' if machines == 1 else 'machines measure'}",
            "give one price for all, or one for each --on in the same order",
        )
    given: Sequence[float | None] = per_hour or [None]
    prices = [price(one, currency) for one in given]
    return prices if len(prices) == machines else prices * machines


def priced(parts: Sequence[Run], texts: Sequence[str], results: Path) -> list[Run]:
    """Runs of one machine each, those at a price that ``RUN=PRICE`` or ``RUN@MACHINE=PRICE`` names.

    Raises InputError.
    """
    from harness.report.cost import Priced

    prices: dict[tuple[Path, str], Price] = {}
    for text in texts:
        for part in _named(text, parts, results):
            if _key(part) in prices:
                raise InputError(
                    f"--price names {part.info.run_id} on {part.info.machine} twice",
                    "leave one of the two out",
                )
            prices[_key(part)] = _price(text, part)
    return [Priced.at(prices[_key(part)], part) if _key(part) in prices else part for part in parts]


def _key(part: Run) -> tuple[Path, str]:
    return part.path, part.info.machine


def _named(text: str, parts: Sequence[Run], results: Path) -> list[Run]:
    """The parts whose price it is: all of the only run where none is named."""
    name, named, _ = text.rpartition("=")
    return _reported(name, parts, results) if named else _only_run(text, parts)


def _reported(name: str, parts: Sequence[Run], results: Path) -> list[Run]:
    from harness.results.reading import find_run, not_one, of_machine, run_and_machine

    run, label = run_and_machine(name)
    path = find_run(run, results).resolve()
    of_run = [part for part in parts if part.path == path]
    if not of_run:
        raise InputError(
            f"--price names {run}, which is not reported", f"add it: harness report {run}"
        )
    chosen = of_machine(label, of_run)
    if not chosen:
        raise not_one(name, of_run)
    return chosen


def _only_run(text: str, parts: Sequence[Run]) -> list[Run]:
    known = list(dict.fromkeys(part.path for part in parts))
    if len(known) != 1:
        raise InputError(
            f"--price {text} does not say which of the {len(known)} runs it is of",
            f"write --price {known[0].name}={text}",
        )
    return list(parts)


def _price(text: str, run: Run) -> Price:
    """In the run's own currency where none is named."""
    from harness.analysis.cost import CURRENCY, parse_price

    amount = text.rpartition("=")[2]

    own = {one.currency for one in run.info.invocations if one.currency is not None}
    try:
        return parse_price(amount, own.pop() if len(own) == 1 else CURRENCY)
    except ValueError as error:
        what, _, advice = str(error).partition("; ")
        raise InputError(f"--price {text}: {what}", f"{advice}: --price RUN=1.29EUR") from error
