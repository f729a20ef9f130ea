"""The largest batch that fits, found with real TensorFlow in a pool that is small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.results.reading import read_run
from tests.conftest import run_harness

pytestmark = pytest.mark.engine

POOL = 450 << 20
QUESTION = (
    *("fit", "--model", "model-a", "--dataset", "mnist-10k", "--protocol", "smoke"),
    *("--dataset-fallback", "synthetic", "--offline", "--gpu", "cpu", "--runtime", "docker"),
    *("--memory", f"{POOL}", "--max-batch", "512", "--max-probes", "12", "--format", "json"),
)


@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("image_ids", "no_container_left")
def test_the_boundary_in_a_pool_of_450_mib(tmp_path: Path) -> None:
    first = (*QUESTION[:-4], "--max-probes", "2")
    begun = run_harness(*first, "--results", tmp_path, timeout=1100)
    assert begun.returncode == 1, begun.stderr  # two probes settle nothing, and it says so
    assert "2 probes were made" in begun.stdout
    ended = run_harness(*QUESTION, "--resume", "latest", "--results", tmp_path, timeout=1100)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    found = json.loads(ended.stdout)
    assert found["settled"]
    assert 64 <= found["largest_batch"] < found["oom"] <= 512
    assert found["oom"] - found["largest_batch"] <= found["oom"] / 16 + 1
    assert not found["host"]
    assert len(found["probes"]) <= 12

    run = read_run(Path(found["run"]))
    assert {record.purpose for record in run.records} == {"fit"}
    assert len({record.case_id for record in run.records}) == len(run.records)
    peaks = {r.case.batch_size: r.memory.peak_device_bytes for r in run.records if r.status == "ok"}
    assert all(peaks.values()), peaks
    by_batch = [int(peaks[batch] or 0) for batch in sorted(peaks)]
    # Small batches differ by a tenth from one process to another: their peaks are no line.
    assert 0.8 * POOL <= by_batch[-1] <= POOL, peaks
    assert max(by_batch) <= POOL, peaks
    assert all("ran out of memory" in r.reason for r in run.records if r.status == "oom")

    shown = run_harness("report", "latest", "--results", tmp_path)
    assert found["result"] in shown.stdout
    assert "Total execution time" not in shown.stdout
