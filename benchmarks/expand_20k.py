"""How long a large matrix takes from text to checked cases with ids.

Aims: 20,000 cases within 2 s, written as axes; the same with 2,000 entries each of include and
exclude on top.
"""

from __future__ import annotations

import argparse
import time

from benchmarks import pairs
from harness.matrix import expand, parse

CASES, ENTRIES, MOST_S = 20_000, 2_000, 2.0
MODELS, DATASETS = ("model-a", "model-b"), ("mnist", "synthetic")


def axes(cases: int) -> str:
    """A matrix of `cases` cases, which must be a multiple of 4."""
    sizes = ", ".join(str(1 + number) for number in range(cases // 4))
    return (
        f"axes: {{model: [{', '.join(MODELS)}], dataset: [{', '.join(DATASETS)}],"
        f" batch_size: [{sizes}]}}\n"
    )


def entries(count: int) -> str:
    """Entries that each match two cases to add to, and two others to take out."""
    sizes = range(1, count + 1)
    added = [f"- {{model: model-a, batch_size: {size}, timeout: 1h}}" for size in sizes]
    out = [f"- {{model: model-b, batch_size: {size}}}" for size in sizes]
    return "\n".join(["include:", *added, "exclude:", *out]) + "\n"


def seconds(text: str, cases: int) -> float:
    """From the text to the ids of so many cases."""
    started = time.perf_counter()
    ids = {case.id for case in expand(parse(text))}
    took = time.perf_counter() - started
    assert len(ids) == cases
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=pairs.at_least_one, default=7)
    times = parser.parse_args().times
    where = pairs.machine()
    more = axes(CASES) + entries(ENTRIES)
    plain, busy = [], []
    for _ in range(times):
        plain.append(seconds(axes(CASES), CASES))
        busy.append(seconds(more, CASES - 2 * ENTRIES))
    rows = [
        pairs.figure(f"{CASES} cases, axes alone", plain, "s", MOST_S),
        pairs.figure(f"the same, {ENTRIES} include and {ENTRIES} exclude", busy, "s", MOST_S),
    ]
    return pairs.report("expansion of a large matrix", where, times, rows)


if __name__ == "__main__":
    pairs.start(main)
