"""A case that shows no sign of life, in a real container and as a process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.model import Status
from harness.results.reading import read_run
from harness.runtimes.engine import Engine
from tests.faults import stand_in
from tests.faults.test_killed import start

MATRIX = """
axes: {model: [model-a], dataset: [synthetic]}
defaults: {protocol: smoke}
stall_timeout: 4s
"""


@pytest.mark.usefixtures("image_ids")
@pytest.mark.parametrize("runtime", ["docker", "local"])
def test_silence_without_work_ends_a_case(engine: Engine, tmp_path: Path, runtime: str) -> None:
    stand_in.make(tmp_path / "workload", 60.0)
    (tmp_path / "matrix.yaml").write_text(MATRIX)
    started = time.monotonic()
    process = start(tmp_path, tmp_path / "results", "--runtime", runtime)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 1, told
    (run,) = (tmp_path / "results").iterdir()
    (record,) = read_run(run).records
    assert record.status is Status.STALLED
    assert record.reason == "no output and next to no processor time for 4 s"
    assert time.monotonic() - started < 60
    filters = {"label": f"harness.run={run.name}"}
    assert engine.client.containers.list(all=True, filters=filters, ignore_removed=True) == []
