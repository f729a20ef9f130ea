"""A container that prints a gigabyte: through the harness, and as `docker run … > /dev/null`.

The harness's side is a process of its own with all that a run has loaded. Aims: at least 0.9 times
the rate of `docker run` (1.11 times its time), every memory message found, 150 MB of memory at its
peak, and no more on the disk than the limit of the log.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import pairs
from benchmarks.idle_case import IMAGE, Idle, attempt, rehearsed, run_bare
from benchmarks.sleeping_case import LOADED_BY_A_RUN
from harness.runner.attempt import LOG_FILE
from harness.runner.watch import MAX_LOG

RATE, MEMORY_MB = 0.9, 150.0
ALLOWED = 1000
"""Bytes that may stand beside a log's own: the line that says it was cut."""


@dataclass
class Listener:
    """Runs the harness's side as a child, and keeps what it told."""

    idle: Idle
    told: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> float:
        """Wall seconds of the attempt, interpreter and imports left out."""
        line = [sys.executable, __file__, "--child", str(self.idle.folder)]
        line += ["--image", self.idle.image, "--megabytes", str(self.idle.print_mb)]
        done = subprocess.run(line, check=True, stdout=subprocess.PIPE)
        self.told.append(json.loads(done.stdout))
        return float(self.told[-1]["wall_s"])

    def rows(self) -> list[pairs.Row]:
        found = [told["found"] for told in self.told]
        every = all(count == self.idle.print_mb for count in found)
        kept = [told["log_bytes"] / 1e6 for told in self.told]
        return [
            pairs.Row(
                "memory messages found",
                "",
                f"{min(found)} of {self.idle.print_mb}",
                "",
                "all",
                every,
            ),
            pairs.figure(
                "its memory at the peak", [t["peak_mb"] for t in self.told], "MB", MEMORY_MB
            ),
            pairs.figure("log kept on the disk", kept, "MB", (MAX_LOG + ALLOWED) / 1e6),
        ]


def child(idle: Idle) -> None:
    """One attempt in this process; prints what it cost and what it found."""
    for name in LOADED_BY_A_RUN:
        importlib.import_module(name)
    folder = idle.attempt_folder()
    seconds, record = attempt(idle, rehearsed(idle), folder, lambda _: None)
    told = {
        "wall_s": seconds,
        "found": record.memory.pressure_events,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "log_bytes": (folder / LOG_FILE).stat().st_size,
    }
    pairs.say(json.dumps(told))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=pairs.at_least_one, default=3)
    parser.add_argument("--megabytes", type=pairs.at_least_one, default=1000)
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child is not None:
        child(Idle(0.0, chosen.image, chosen.child, chosen.megabytes))
        return 0
    where = pairs.machine()
    with tempfile.TemporaryDirectory() as folder:
        idle = Idle(0.0, chosen.image, Path(folder), chosen.megabytes)
        runtime, listener = rehearsed(idle), Listener(idle)
        bare = partial(run_bare, idle, runtime)
        measured = list(pairs.interleave(chosen.pairs, bare, listener.run))
    what = f"a case that prints {chosen.megabytes} MB"
    rows = [pairs.compare(what, measured, round(1 / RATE, 3)), *listener.rows()]
    return pairs.report("Loud container against docker run", where, len(measured), rows)


if __name__ == "__main__":
    pairs.start(main)
