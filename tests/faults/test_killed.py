"""The harness killed at many points of a run on the real engine: 0 lost, 0 doubled, 0 containers.

HARNESS_KILLS says at how many points (10; ``make test-all`` takes 50), and HARNESS_KILL_LOG names
a file for what was seen at each.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

import harness
from harness.model import Record
from harness.results.reading import read_run
from harness.runtimes.engine import Engine
from tests.faults import stand_in

LOG = os.environ.get("HARNESS_KILL_LOG")
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
def place(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("killed")
    stand_in.make(folder / "workload", 0.2)
    (folder / "matrix.yaml").write_text(MATRIX)
    process = start(folder, folder / "whole")
    wait_for_the_run(folder / "whole")
    started = time.monotonic()
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    seconds = time.monotonic() - started
    tell(
        f"{date.today()}, harness {harness.__version__}, Docker {engine.version}: SIGKILL at "
        f"{POINTS} points of a run of {CASES} cases ({seconds:.2f} s), then --resume\n\n"
        "point  killed s  finished before  container ended  attempts  lost  doubled  containers",
        "w",
    )
    return Place(folder, seconds)


def wait_for_the_run(results: Path) -> Path:
    """The run's folder, as soon as there is one."""
    deadline = time.monotonic() + 120
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


def tell(line: str, mode: str = "a") -> None:
    """A line of the log."""
    if LOG:
        with Path(LOG).open(mode, encoding="utf-8") as file:
            file.write(line + "\n")


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
    lost = sum(kept.get(key) != record for key, record in before.items())
    twice = len(journal) - len(kept)
    completed = Counter(r.case_id for r in journal if r.status.completed)
    doubled = twice + sum(completed.values()) - len(completed)
    left = len(ours(engine, run.name, running=False))
    tell(
        f"{point:5}  {moment:8.2f}  {len(before):15}  {ended_s:15.1f}  {len(journal):8}  "
        f"{lost:4}  {doubled:7}  {left:10}"
    )
    assert (lost, doubled, left) == (0, 0, 0)
    assert len(completed) == CASES
    assert finished(run) == kept
