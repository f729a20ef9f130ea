"""`harness report` on 20,000 records, as a process: time and peak memory.

Aims: 2 s and 300 MB as a table, for 2,000 cases of ten repeats and for 20,000 cases. The records
are as large as real ones: every figure, with intervals. Other formats are shown, without an aim.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import pairs
from benchmarks.campaign_scale import matrix, prepared
from harness.campaign import run
from harness.model import Timing
from harness.results.run import JOURNAL, RUN_FILE, RunInfo
from harness.runtimes.scripted import Script

RECORDS, MOST_S, MOST_MB = 20_000, 2.0, 300.0
FORMS = ("table", "json", "csv", "junit")
PARTS = ("train_s", "validation_s", "checkpoint_s", "total_execution_s")


def written(folder: Path, cases: int) -> Path:
    """A run folder of 20,000 records of `cases` cases."""
    made = prepared(matrix(1, 1), folder, lambda _spec: Script())
    done = run(made, lambda _event: None)
    (one,) = done.records
    figures = {name: 100.0 for name in Timing.model_fields if name.endswith("_s")}
    timing = Timing(**figures, predicted=PARTS, intervals=dict.fromkeys(PARTS, (90.0, 110.0)))
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


def measured(folder: Path, form: str) -> tuple[float, float]:
    """Seconds and peak megabytes (10^6 bytes) of the command."""
    line = [sys.executable, "-m", "harness", "report", str(folder), "--format", form]
    started = time.perf_counter()
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)  # the usage of this child alone
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    assert process.returncode == 0
    return seconds, used.ru_maxrss * 1024 / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=pairs.at_least_one, default=3)
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for cases in (RECORDS // 10, RECORDS):
            kept = written(Path(folder) / str(cases), cases)
            for form in FORMS:
                found = [measured(kept, form) for _ in range(chosen.times)]
                most = (MOST_S, MOST_MB) if form == "table" else (None, None)
                what = f"{cases} cases, {form}"
                rows.append(pairs.figure(f"{what}: time", [s for s, _ in found], "s", most[0]))
                rows.append(pairs.figure(f"{what}: memory", [m for _, m in found], "MB", most[1]))
    return pairs.report("harness report at scale", pairs.machine(), chosen.times, rows)


if __name__ == "__main__":
    pairs.start(main)
