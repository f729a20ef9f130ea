"""Two ways of doing the same, measured in turns: ratios mean something where single times do not.

Each benchmark measures `bare` and `ours` once a pair, in an order that alternates, so that what
changes slowly on the machine meets both alike. Pure but for the callables, `say` and `machine`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import psutil

from harness.errors import HarnessError
from harness.workload.machine import cpu_name

BUSY_PERCENT = 10.0
"""Of all cores' time, in use before a benchmark begins: from there on a machine is called noisy."""
LOOK_S = 2.0


@dataclass(frozen=True)
class Pair:
    """Seconds that the bare tool and the harness took, one after the other."""

    bare: float
    ours: float

    @property
    def ratio(self) -> float:
        return self.ours / self.bare


@dataclass(frozen=True)
class Row:
    """One line of the table, as text; `met` is None where nothing is aimed at."""

    what: str
    bare: str
    ours: str
    ratio: str
    aim: str
    met: bool | None


def bare_first(number: int) -> bool:
    """Whether the bare tool goes first in pair `number`: bare, ours, ours, bare, bare …"""
    return number % 2 == 0


def interleave(pairs: int, bare: Callable[[], float], ours: Callable[[], float]) -> Iterator[Pair]:
    """Measure `pairs` pairs; `bare` and `ours` do the work once and return its seconds."""
    for number in range(pairs):
        if bare_first(number):
            bare_s = bare()
            yield Pair(bare_s, ours())
        else:
            ours_s = ours()
            yield Pair(bare(), ours_s)


def medians(pairs: Sequence[Pair]) -> Pair:
    """The median of each side, which need not be of one pair. Raises StatisticsError if empty."""
    return Pair(
        statistics.median(pair.bare for pair in pairs),
        statistics.median(pair.ours for pair in pairs),
    )


def compare(what: str, pairs: Sequence[Pair], at_most: float | None = None) -> Row:
    """Seconds of both sides, the ratio of their medians and its range over the pairs."""
    middle = medians(pairs)
    ratios = [pair.ratio for pair in pairs]
    return Row(
        what,
        f"{middle.bare:.3f} s",
        f"{middle.ours:.3f} s",
        f"{middle.ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
        "" if at_most is None else f"<= {at_most:g}",
        None if at_most is None else middle.ratio <= at_most,
    )


def difference(what: str, pairs: Sequence[Pair], at_most_s: float) -> Row:
    """How many seconds more ours takes: the difference of the medians."""
    middle = medians(pairs)
    more = middle.ours - middle.bare
    return Row(what, "", f"{more:+.3f} s", "", f"<= {at_most_s:g} s", more <= at_most_s)


def figure(what: str, values: Sequence[float], unit: str, at_most: float | None = None) -> Row:
    """A figure of ours alone: its median over the pairs, with the range."""
    middle = statistics.median(values)
    shown = f"{middle:.2f} {unit} ({min(values):.2f} to {max(values):.2f})"
    if at_most is None:
        return Row(what, "", shown, "", "", None)
    return Row(what, "", shown, "", f"<= {at_most:g} {unit}", middle <= at_most)


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal; medians, and behind each ratio its range over the pairs."""
    from tabulate import tabulate  # noqa: PLC0415 - not needed inside the measured children

    met = {True: "yes", False: "NO", None: ""}
    heads = ["", "bare", "ours", "ratio (range over pairs)", "aim", "met"]
    lines = [[r.what, r.bare, r.ours, r.ratio, r.aim, met[r.met]] for r in rows]
    return str(tabulate(lines, heads, disable_numparse=True))


def machine() -> str:
    """Processor, cores, and how busy they were before the benchmark began."""
    busy = psutil.cpu_percent(interval=LOOK_S)
    noisy = ", NOISY: others are at work here" if busy > BUSY_PERCENT else ""
    return f"{cpu_name()}, {os.cpu_count()} cores, {busy:.0f} % busy before{noisy}"


def report(title: str, where: str, pairs: int, rows: Sequence[Row]) -> int:
    """Print the table. Returns the exit code: 0 if every aim is met, else 1."""
    say(f"\n{title}\n{where}; {pairs} pairs, interleaved\n\n{table(rows)}")
    return int(any(row.met is False for row in rows))


def say(text: str) -> None:
    """One line of progress or result."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def at_least_one(text: str) -> int:
    """For argparse: how many pairs or settings. Raises ArgumentTypeError for less than one."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def start(main: Callable[[], int]) -> NoReturn:
    """Run a benchmark and end the process; what this machine lacks is one message."""
    try:
        code = main()
    except HarnessError as error:
        sys.stderr.write(f"error: {error.message}\n  try: {error.next_step}\n")
        code = error.exit_code
    sys.exit(code)
