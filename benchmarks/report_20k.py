"""`harness report` on 20,000 records, as a process: time and peak memory.

Aims: 2 s and 300 MB, for 2,000 cases of ten repeats and for 20,000 cases.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import pairs
from benchmarks.campaign_scale import matrix, prepared
from harness.campaign import run
from harness.results.run import JOURNAL, RUN_FILE, RunInfo
from harness.runtimes.scripted import Script

RECORDS, MOST_S, MOST_MB = 20_000, 2.0, 300.0


def written(folder: Path, cases: int) -> Path:
    """A run folder of 20,000 records of `cases` cases."""
    made = prepared(matrix(1, 1), folder, lambda _spec: Script())
    done = run(made, lambda _event: None)
    (one,) = done.records
    timing = one.timing.model_copy(update={"total_execution_s": 100.0, "images_per_s": 640.0})
    kept = {"status": "ok", "reason": "", "timing": timing}
    named = [one.case.model_copy(update={"batch_size": 8 + number}) for number in range(cases)]
    info = (done.folder / RUN_FILE).read_text("utf-8")
    with (done.folder / JOURNAL).open("w", encoding="utf-8") as file:
        for repeat in range(1, RECORDS // cases + 1):
            for case in named:
                own = {"case": case, "case_id": case.id, "repeat": repeat, **kept}
                file.write(one.model_copy(update=own).model_dump_json(warnings=False) + "\n")
    whole = RunInfo.model_validate_json(info).model_copy(update={"cases": tuple(named)})
    (done.folder / RUN_FILE).write_text(whole.model_dump_json(), encoding="utf-8")
    return done.folder


def measured(folder: Path) -> tuple[float, float]:
    """Seconds and peak megabytes of the command."""
    started = time.perf_counter()
    line = [sys.executable, "-m", "harness", "report", str(folder)]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=pairs.at_least_one, default=3)
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for cases in (RECORDS // 10, RECORDS):
            kept = written(Path(folder) / str(cases), cases)
            found = [measured(kept) for _ in range(chosen.times)]
            what = f"{RECORDS} records of {cases} cases"
            rows.append(pairs.figure(f"{what}: time", [s for s, _ in found], "s", MOST_S))
            rows.append(pairs.figure(f"{what}: memory", [m for _, m in found], "MB", MOST_MB))
    return pairs.report("harness report at scale", pairs.machine(), chosen.times, rows)


if __name__ == "__main__":
    pairs.start(main)
