"""A neighbour that is started on purpose spoils a case, and `--strict` says so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.model import Disturbed, Status
from harness.results.reading import find_run, read_run
from tests.conftest import lacking, run_harness

pytestmark = pytest.mark.tensorflow

LINE = (
    *("bench", "--model", "model-a", "--dataset", "synthetic", "--protocol", "smoke"),
    *("--gpu", "cpu", "--runtime", "local", "--strict"),
)


@pytest.fixture
def neighbours() -> Iterator[None]:
    """A program for each processor that computes for its own sake."""
    programs = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    yield
    for program in programs:
        program.kill()
        program.wait()


@pytest.mark.usefixtures("neighbours")
def test_a_case_beside_others_load_does_not_count_where_it_is_strict(tmp_path: Path) -> None:
    if find_spec("tensorflow") is None:
        lacking("this environment has no TensorFlow: make local")
    ended = run_harness(*LINE, "--results", tmp_path)
    (record,) = read_run(find_run("latest", tmp_path)).records
    assert record.status is Status.OK
    assert record.disturbed is Disturbed.YES
    assert any("other processes used" in why for why in record.disturbed_by)
    assert record.telemetry is not None
    assert record.telemetry.other_cpu is not None
    assert 0.1 < record.telemetry.other_cpu < 0.95  # the case's own work is not among it
    assert ended.returncode == 1
    assert f"does not count (--strict): {record.case_id} #1: other processes" in ended.stderr
    assert "Telemetry" in ended.stdout
