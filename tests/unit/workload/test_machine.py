"""Facts about this very process."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

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


def test_the_page_cache_is_asked_about_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"x" * 3_000_000)
    assert machine.cached_share(str(path)) == 1.0
    assert machine.cached_share(str(tmp_path / "none")) is None
    path.write_bytes(b"")
    assert machine.cached_share(str(path)) is None
