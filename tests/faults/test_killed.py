"""The harness killed at many points of a run on the real engine: 0 lost, 0 doubled, 0 containers.

HARNESS_KILLS says at how many points (10; ``make test-all`` takes 50).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.model import Record
from harness.results.reading import read_run
from harness.runtimes.engine import Engine
from tests.faults import stand_in

POINTS = int(os.environ.get("HARNESS_KILLS", "10"))
CASES = 3
MATRIX = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [8, 16, 32]}
defaults: {protocol: smoke}
"""
ENDED_WITHIN_S = 20.0
"""A workload looks every two seconds, and its engine takes a moment to end it."""

pytestmark = pytest.mark.usefixtures("image_ids")


@dataclass(frozen=True)
class Place:
    """Where the runs of this test go, and how long one takes undisturbed once it has begun."""

    folder: Path
    seconds: float

    def start(self, results: Path, *more: str) -> subprocess.Popen[str]:
        return start(self.folder, results, *more)


def start(folder: Path, results: Path, *more: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "tests.faults.stand_in", folder / "workload", "matrix"]
    line += [folder / "matrix.yaml", "--gpu", "cpu", "--runtime", "docker", "--offline"]
    return subprocess.Popen(
        [*line, "--results", results, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("killed")
    stand_in.make(folder / "workload", 0.2)
    (folder / "matrix.yaml").write_text(MATRIX)
    process = start(folder, folder / "whole")
    wait_for_the_run(folder / "whole")
    started = time.monotonic()
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    return Place(folder, time.monotonic() - started)


def wait_for_the_run(results: Path) -> Path:
    """The run's folder, as soon as there is one."""
    deadline = time.monotonic() + 30
    while not (found := list(results.glob("*/run.json"))):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found[0].parent


def ours(engine: Engine, run_id: str, running: bool) -> list[object]:
    filters = {"label": f"harness.run={run_id}"}
    found: list[object] = engine.client.containers.list(
        all=not running, filters=filters, ignore_removed=True
    )
    return found


def finished(run: Path) -> dict[tuple[str, int, int], Record]:
    """What attempts left, by case, repeat and attempt."""
    records = [
        Record.model_validate_json(file.read_bytes())
        for file in run.glob("cases/*/r*/a*/record.json")
    ]
    return {(r.case_id, r.repeat, r.attempt): r for r in records}


def tell(outcome: dict[str, object]) -> None:
    """A line for the log of ``make test-all``."""
    log = os.environ.get("HARNESS_KILL_LOG")
    if log:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(json.dumps(outcome) + "\n")


@pytest.mark.parametrize("point", range(POINTS))
def test_nothing_is_lost_doubled_or_left(place: Place, engine: Engine, point: int) -> None:
    results = place.folder / f"point-{point}"
    process = place.start(results)
    run = wait_for_the_run(results)
    moment = place.seconds * point / POINTS
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    before = finished(run)
    deadline = time.monotonic() + ENDED_WITHIN_S
    while ours(engine, run.name, running=True):
        assert time.monotonic() < deadline, "a container goes on without its harness"
        time.sleep(0.2)
    ended_s = ENDED_WITHIN_S - (deadline - time.monotonic())

    process = place.start(results, "--resume", run.name)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    journal = read_run(run).records
    kept = {(r.case_id, r.repeat, r.attempt): r for r in journal}
    assert all(kept[key] == record for key, record in before.items()), "a finished attempt is lost"
    assert len(kept) == len(journal), "an attempt stands twice in the journal"
    assert finished(run) == kept
    completed = Counter(r.case_id for r in journal if r.status.completed)
    assert sorted(completed.values()) == [1] * CASES, "a case was measured twice"
    assert ours(engine, run.name, running=False) == []
    tell(
        {
            "point": point,
            "killed_after_s": round(moment, 2),
            "finished_before": len(before),
            "container_ended_after_s": round(ended_s, 1),
            "lost": 0,
            "doubled": 0,
            "containers": 0,
        }
    )
