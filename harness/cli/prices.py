"""What a machine costs an hour, as it is written on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def priced(runs: Sequence[Run], texts: Iterable[str], results: Path) -> list[Run]:
    """The runs, those that ``RUN=PRICE`` names at that price. Raises InputError."""
    from harness.report.cost import Priced

    by_path = {run.path: run for run in runs}
    prices: dict[Path, Price] = {}
    for text in texts:
        name, named, amount = text.rpartition("=")
        path = _reported(name, by_path, results) if named else _only_one(text, by_path)
        if path in prices:
            raise InputError(
                f"--price names {by_path[path].info.run_id} twice", "leave one of the two out"
            )
        prices[path] = _price(text, amount, by_path[path])
    return [
        Priced(run.path, run.info, run.records, prices[path]) if path in prices else run
        for path, run in by_path.items()
    ]


def _reported(name: str, runs: Iterable[Path], results: Path) -> Path:
    from harness.results.reading import find_run

    path = find_run(name, results).resolve()
    if path not in runs:
        raise InputError(
            f"--price names {name}, which is not reported", f"add it: harness report {name}"
        )
    return path


def _only_one(text: str, runs: Iterable[Path]) -> Path:
    known = list(runs)
    if len(known) != 1:
        raise InputError(
            f"--price {text} does not say which of the {len(known)} runs it is of",
            f"write --price {known[0].name}={text}",
        )
    return known[0]


def _price(text: str, amount: str, run: Run) -> Price:
    """In the run's own currency where none is named."""
    from harness.analysis.cost import CURRENCY, parse_price

    own = {one.currency for one in run.info.invocations if one.currency is not None}
    try:
        return parse_price(amount, own.pop() if len(own) == 1 else CURRENCY)
    except ValueError as error:
        what, _, advice = str(error).partition("; ")
        raise InputError(f"--price {text}: {what}", f"{advice}: --price RUN=1.29EUR") from error
