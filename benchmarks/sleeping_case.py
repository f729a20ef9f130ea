"""What the harness costs while a case runs: a container that sleeps, watched by the harness.

The harness's side is a process of its own with all that a run has loaded, live display included.
Aims: 1.01 times `docker run`'s wall time at most, 1% of one core, 120 MB of memory at its peak.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks import pairs
from benchmarks.idle_case import IMAGE, Idle, rehearsed, run_bare, run_ours

RATIO, CPU_PERCENT, MEMORY_MB = 1.01, 1.0, 120.0
LOADED_BY_A_RUN = (
    "harness.cli.run",
    "harness.campaign",
    "harness.console",
    "harness.report",
    "harness.matrix",
    "scipy.special",
)
"""What `harness matrix` has imported by the time its cases have run."""


@dataclass
class Watcher:
    """Runs the harness's side as a child, and keeps what each cost."""

    idle: Idle
    cpu_percent: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    def run(self) -> float:
        """Wall seconds of the attempt, interpreter and imports left out."""
        line = [sys.executable, __file__, "--child", str(self.idle.folder), "--image"]
        line += [self.idle.image, "--seconds", str(self.idle.seconds)]
        # As on a terminal: the live display, which works harder than lines in a log.
        shown = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm"}
        done = subprocess.run(
            line, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=shown
        )
        told = json.loads(done.stdout)
        self.cpu_percent.append(100 * told["cpu_s"] / told["wall_s"])
        self.peak_mb.append(told["peak_bytes"] / 1e6)
        return float(told["wall_s"])


def child(idle: Idle) -> None:
    """One attempt in this process; prints wall and CPU seconds of it and the peak memory."""
    for name in LOADED_BY_A_RUN:
        importlib.import_module(name)
    console = importlib.import_module("harness.console")
    events = importlib.import_module("harness.events")
    runtime = rehearsed(idle)
    with console.Live() as shown:
        shown.on_event(events.CaseStarted(idle.planned().id, 1, 1))
        before = _cpu_s()
        wall_s = run_ours(idle, runtime, shown.on_event)
        cpu_s = _cpu_s() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pairs.say(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "peak_bytes": peak}))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=pairs.at_least_one, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the case sleeps")
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child is not None:
        child(Idle(chosen.seconds, chosen.image, chosen.child))
        return 0
    where = pairs.machine()
    with tempfile.TemporaryDirectory() as folder:
        idle = Idle(chosen.seconds, chosen.image, Path(folder))
        watcher = Watcher(idle)
        bare = partial(run_bare, idle, rehearsed(idle))
        measured = list(pairs.interleave(chosen.pairs, bare, watcher.run))
    rows = [
        pairs.compare(f"a case that sleeps {chosen.seconds:g} s", measured, RATIO),
        pairs.figure("the harness's own processor time", watcher.cpu_percent, "%", CPU_PERCENT),
        pairs.figure("its memory at the peak", watcher.peak_mb, "MB", MEMORY_MB),
    ]
    return pairs.report("A case that only sleeps", where, len(measured), rows)


if __name__ == "__main__":
    pairs.start(main)
