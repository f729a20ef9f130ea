"""Facts about this very process."""

from __future__ import annotations

import subprocess
import sys
import time

from harness.workload import machine


def test_process_start_counts_what_came_before_the_import() -> None:
    body = (
        "import time; time.sleep(0.5); from harness.workload import machine;"
        "print(time.perf_counter() - machine.process_start())"
    )
    start = time.monotonic()
    out = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True)
    assert 0.5 <= float(out.stdout) <= time.monotonic() - start + 0.02


def test_memory_and_processor_are_told() -> None:
    assert machine.peak_host_bytes() > 1_000_000
    assert machine.cpu_name()
