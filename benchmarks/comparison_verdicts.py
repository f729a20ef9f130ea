"""How far the verdicts of ``harness compare`` can be trusted, by simulation; nothing is timed.

Two runs of one case are drawn from a noise that is known, judged as `compare` judges them, and the
wrong verdicts are counted: on equal machines, where each `faster` or `slower` is a false alarm, and
on a machine that is 5 % slower, where it should be seen. The seed is fixed: figures repeat.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from benchmarks import pairs
from harness.analysis.comparison import Verdict, judge
from harness.analysis.gate import slowdown
from harness.analysis.ratio import ratio

SEED = 2021
SLOWER = 1.05
"""How many times as long the slower machine takes; also the gate's limit."""
MOST_FALSE, LEAST_SEEN = 0.05, 0.95
SIGMAS = 2.0
"""A false-alarm rate is held to miss its aim only where the draw alone does not explain it."""

Noise = Callable[[random.Random, int], list[float]]
"""Seconds of so many repeats of one run on a machine that takes one second."""


def normal(deviation: float) -> Noise:
    return lambda draw, repeats: [1 + draw.gauss(0, deviation) for _ in range(repeats)]


def skewed(deviation: float) -> Noise:
    """Never faster than the machine can, sometimes much slower: an exponential tail."""
    return lambda draw, repeats: [1 + draw.expovariate(1 / deviation) for _ in range(repeats)]


def outliers(deviation: float, times: float, share: float) -> Noise:
    """Normal, but for a share of repeats that are disturbed, `times` as wide."""
    return lambda draw, repeats: [
        1 + draw.gauss(0, deviation * (times if draw.random() < share else 1))
        for _ in range(repeats)
    ]


def slow_first(deviation: float, more: float) -> Noise:
    return lambda draw, repeats: [
        1 + draw.gauss(0, deviation) + (more if number == 0 else 0) for number in range(repeats)
    ]


def run_to_run(deviation: float, between: float) -> Noise:
    """What changes from one run to the next and holds for all its repeats."""

    def drawn(draw: random.Random, repeats: int) -> list[float]:
        offset = draw.gauss(0, between)
        return [1 + offset + draw.gauss(0, deviation) for _ in range(repeats)]

    return drawn


@dataclass(frozen=True)
class Setting:
    """`held`: whether the false alarms are held against the aim; `seen`: the slow-downs too.

    The aim is for machines that are equal in their noise as well, and stay so from run to run.
    """

    words: str
    base: Noise
    new: Noise
    repeats: tuple[int, int]
    held: bool = True
    seen: bool = False


def _both(words: str, noise: Noise, repeats: int, held: bool = True, seen: bool = False) -> Setting:
    return Setting(words, noise, noise, (repeats, repeats), held, seen)


SETTINGS = (
    _both("2 % noise", normal(0.02), 6, seen=True),
    _both("2 % noise", normal(0.02), 3),
    _both("2 % noise", normal(0.02), 4),
    _both("2 % noise", normal(0.02), 10),
    Setting("2 % noise", normal(0.02), normal(0.02), (3, 10)),
    _both("2 %, a tail of slow repeats only", skewed(0.02), 6),
    _both("2 %, one repeat in ten 5 times as wide", outliers(0.02, 5, 0.1), 6),
    _both("2 %, each first repeat 10 % slower", slow_first(0.02, 0.1), 6),
    Setting("1 % in BASE, 4 % in NEW", normal(0.01), normal(0.04), (6, 6), held=False),
    Setting("1 % in BASE, 4 % in NEW", normal(0.01), normal(0.04), (10, 3), held=False),
    _both("2 %, and 1 % from run to run", run_to_run(0.02, 0.01), 6, held=False),
)


@dataclass(frozen=True)
class Rates:
    """Shares of the trials, 0 to 1: by the verdict alone, and by ``--fail-if-slower 5%``."""

    false: float
    false_gate: float
    seen: float
    seen_gate: float
    trials: int

    @property
    def few_false(self) -> bool:
        error = math.sqrt(MOST_FALSE * (1 - MOST_FALSE) / self.trials)
        return self.false <= MOST_FALSE + SIGMAS * error

    @property
    def most_seen(self) -> bool:
        return self.seen >= LEAST_SEEN


def simulate(setting: Setting, trials: int, seed: int = SEED) -> Rates:
    """Judge `trials` pairs of runs twice: as drawn, and with NEW made slower."""
    draw = random.Random(seed)  # noqa: S311 - noise, no secret
    counts = {"false": 0, "false_gate": 0, "seen": 0, "seen_gate": 0}
    for _ in range(trials):
        base = setting.base(draw, setting.repeats[0])
        new = setting.new(draw, setting.repeats[1])
        verdict, stopped = _judged(base, new)
        counts["false"] += verdict is not Verdict.NO_DIFFERENCE
        counts["false_gate"] += stopped
        verdict, stopped = _judged(base, [SLOWER * seconds for seconds in new])
        counts["seen"] += verdict is Verdict.SLOWER
        counts["seen_gate"] += stopped
    shares = {name: count / trials for name, count in counts.items()}
    return Rates(**shares, trials=trials)


def _judged(base: Sequence[float], new: Sequence[float]) -> tuple[Verdict, bool]:
    """The verdict, and whether the gate would stop at it."""
    found = ratio(base, new)
    verdict = judge(found, more_is_faster=False)
    return verdict, verdict is Verdict.SLOWER and slowdown(found, False)[0] > SLOWER


def cells(setting: Setting, rates: Rates) -> list[str]:
    met = {True: "yes", False: "NO"}
    return [
        setting.words,
        " + ".join(map(str, setting.repeats)),
        f"{rates.false:.1%}",
        met[rates.few_false] if setting.held else "",
        f"{rates.false_gate:.2%}",
        f"{rates.seen:.1%}",
        met[rates.most_seen] if setting.seen else "",
        f"{rates.seen_gate:.1%}",
    ]


HEADERS = (
    "noise",
    "repeats",
    "false alarms",
    "<= 5 %",
    "stopped falsely",
    "5 % slower: seen",
    ">= 95 %",
    "stopped",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=pairs.at_least_one, default=50_000)
    parser.add_argument("--format", choices=("simple", "github"), default="simple")
    chosen = parser.parse_args()
    found = [(setting, simulate(setting, chosen.trials)) for setting in SETTINGS]
    lines = [cells(setting, rates) for setting, rates in found]
    shown = tabulate(lines, HEADERS, tablefmt=chosen.format, disable_numparse=True)
    title = f"The verdicts of `harness compare`: {chosen.trials} simulated pairs of runs each"
    pairs.say(f"\n{title}, seed {SEED}\n\n{shown}")
    missed = [
        setting
        for setting, rates in found
        if (setting.held and not rates.few_false) or (setting.seen and not rates.most_seen)
    ]
    return int(bool(missed))


if __name__ == "__main__":
    pairs.start(main)
