"""What the harness adds to a case: a no-op through the runner against `docker run --rm`.

Aims: at most 1.3 times as long, and at most 0.1 s more.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import pairs
from benchmarks.idle_case import IMAGE, Idle, rehearsed, run_bare, run_ours

RATIO, MORE_S = 1.3, 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=pairs.at_least_one, default=20)
    parser.add_argument("--image", default=IMAGE)
    chosen = parser.parse_args()
    where = pairs.machine()
    with tempfile.TemporaryDirectory() as folder:
        idle = Idle(0.0, chosen.image, Path(folder))
        runtime = rehearsed(idle)
        bare, ours = partial(run_bare, idle, runtime), partial(run_ours, idle, runtime)
        bare(), ours()  # neither pays for a cold cache
        measured = list(pairs.interleave(chosen.pairs, bare, ours))
    rows = [
        pairs.compare("a no-op case", measured, RATIO),
        pairs.difference("what the harness adds", measured, MORE_S),
    ]
    return pairs.report("No-op case against docker run --rm", where, len(measured), rows)


if __name__ == "__main__":
    pairs.start(main)
