"""Attempts as tasks of a real Slurm: two nodes on this machine, the real commands, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from harness.campaign import Outcome, Prepared, Request, attempts, prepare_elsewhere, resume, run
from harness.errors import MachineError
from harness.events import Event, Note, Stopped
from harness.executors.slurm import executor as slurm
from harness.executors.slurm.queue import Pace
from harness.executors.slurm.task import BEGUN_FILE, Begun
from harness.matrix import parse
from harness.model import Record, Status
from harness.results.reading import read_run
from harness.results.run import RECORD_FILE
from tests.conftest import ROOT, real_data
from tests.integration.slurm_cluster import (
    Cluster,
    node_python,
    running_cluster,
    squeue,
    until,
)

REAL = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [32, 64]}
defaults: {protocol: smoke, measure: quick}
budget: 1s
"""
IN_AN_IMAGE = """
axes: {model: [model-a], dataset: [synthetic]}
defaults: {protocol: smoke, measure: quick, image: cpu}
budget: 1s
"""
PLAYED = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [%s]}
defaults: {protocol: smoke}
order: written
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("slurm")) as up:
        yield up


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return node_python(tmp_path_factory.mktemp("node"))


@pytest.fixture(autouse=True)
def an_empty_queue(cluster: Cluster) -> Iterator[None]:
    yield
    until(lambda: cluster.jobs() == [], 90, "the queue is empty")
    until(cluster.up, 90, "both nodes idle")


class Lab:
    """Runs of one test: their results, their site file, and what was told."""

    def __init__(self, folder: Path, python: Path | str) -> None:
        self.folder = folder
        self.site = folder / "site.yaml"
        self.asks(python)
        self.told: list[str] = []

    def asks(self, python: Path | str, *more: str, grace: str = "2s") -> None:
        lines = (f"python: {python}", "poll: 0.3s", f"grace: {grace}", "at_once: 8", *more)
        self.site.write_text("\n".join(lines))

    def run(self, text: str, stopped: Stopped = lambda: False, runtime: str = "local") -> Outcome:
        return run(self._prepared(text, runtime), self._hear, stopped)

    def resume(self, text: str, path: Path) -> Outcome:
        return resume(self._prepared(text, "local"), path, (), self._hear)

    @property
    def path(self) -> Path:
        """The run's folder, once there is one."""
        return next(self.folder.glob("results/*"))

    def attempt(self, batch: int, number: int = 1) -> Path:
        (case,) = self.path.glob(f"cases/*_b{batch}_*/r1/a{number}")
        return case

    def _prepared(self, text: str, runtime: str) -> Prepared:
        request = Request(runtime=runtime, results=self.folder / "results", data_dir=real_data())
        matrix = parse(text)
        with pytest.MonkeyPatch.context() as patch:
            # Attempts of a wave that the disk holds up are one array nevertheless.
            patch.setattr(slurm, "Pace", partial(Pace, gather_s=2.0))
            executor = slurm.slurm_executor(request.means(matrix), self.site, None)
        return prepare_elsewhere(matrix, text, request, executor, self.told.append)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Note):
            self.told.append(event.text)


@pytest.fixture
def lab(tmp_path: Path, python: Path) -> Lab:
    return Lab(tmp_path, python)


@contextmanager
def meanwhile(what: Callable[[], None]) -> Iterator[None]:
    """Do it beside the block, which ends with what it raised, if anything."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(what)
        yield
    done.result()


def runs_there(lab: Lab, batch: int, number: int = 1) -> bool:
    """Whether the case itself has begun."""
    found = list(lab.folder.glob(f"results/*/cases/*_b{batch}_*/r1/a{number}/log.txt"))
    return any("measuring" in log.read_text() for log in found)


def runs_on(node: str, lab: Lab, batch: int) -> bool:
    """Whether the case itself has begun, and there."""
    if not runs_there(lab, batch):
        return False
    begun = Begun.model_validate_json((lab.attempt(batch) / BEGUN_FILE).read_text())
    return begun.node == node


def by_batch(outcome: Outcome) -> dict[int, Record]:
    return {int(r.case_id.partition("_b")[2].partition("_")[0]): r for r in outcome.records}


@pytest.mark.tensorflow
def test_real_cases_are_one_array_and_their_records_the_nodes_own(
    lab: Lab, local_tensorflow: None
) -> None:
    lab.asks(sys.executable)
    outcome = lab.run(REAL)
    assert [record.status for record in outcome.records] == [Status.OK] * 2, outcome.records
    assert all(one.software_key and one.timing.total_inference_s for one in outcome.records)
    begun = [
        Begun.model_validate_json((lab.attempt(batch) / BEGUN_FILE).read_text())
        for batch in (32, 64)
    ]
    assert {one.node for one in begun} == {"left", "right"}
    assert len({one.task.partition("_")[0] for one in begun}) == 1
    assert [file.name for file in lab.path.glob("slurm/*.sh")] == ["array-1.sh"]
    found = read_run(outcome.folder)
    assert found.info.invocations[0].executor == "slurm"
    assert {part.info.machine for part in found.by_machine()} == {
        record.machine for record in outcome.records
    }


@pytest.mark.engine
@pytest.mark.usefixtures("image_ids", "no_container_left")
def test_a_real_case_in_a_container(lab: Lab) -> None:
    lab.asks(sys.executable)
    (record,) = lab.run(IN_AN_IMAGE, runtime="docker").records
    assert (record.status, record.runtime) == (Status.OK, "docker"), record
    assert record.image.reference is not None


def test_a_constraint_holds_and_a_script_is_resubmitted_by_hand(lab: Lab, python: Path) -> None:
    lab.asks(python, "constraint: large", "time: '5'", "extra: [--cpus-per-task=1]")
    outcome = lab.run(PLAYED % "1, 2")
    assert [record.status for record in outcome.records] == [Status.OK] * 2
    for batch in (1, 2):
        begun = Begun.model_validate_json((lab.attempt(batch) / BEGUN_FILE).read_text())
        assert begun.node == "right"
    (lab.attempt(1) / RECORD_FILE).unlink()
    script = lab.path / "slurm" / "array-1.sh"
    subprocess.run(["sbatch", "--wait", script], check=True, timeout=150, capture_output=True)
    assert (lab.attempt(1) / RECORD_FILE).exists()
    printed = "".join(file.read_text() for file in lab.path.glob("slurm/array-1-*.out"))
    assert printed.count("it has its record already") == 1


def test_a_cancelled_task_is_interrupted_and_the_others_are_measured(
    lab: Lab, python: Path
) -> None:
    lab.asks(python, grace="30s")  # Slurm may tell of it later than the record does

    def cancel() -> None:
        until(lambda: runs_there(lab, 99), 120, "the long case runs")
        begun = Begun.model_validate_json((lab.attempt(99) / BEGUN_FILE).read_text())
        subprocess.run(["scancel", begun.task], check=True, timeout=60)

    with meanwhile(cancel):
        outcome = lab.run(PLAYED % "99, 1, 2")
    records = by_batch(outcome)
    assert records[99].status is Status.INTERRUPTED
    assert "was cancelled in Slurm" in records[99].reason
    assert (records[1].status, records[2].status) == (Status.OK, Status.OK)
    assert outcome.interrupted


def test_what_a_lost_node_ran_is_measured_again_on_the_other(
    lab: Lab, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "FIRST_WAIT_S", 0.1)

    def lose() -> None:
        until(lambda: any(runs_on("right", lab, one) for one in (5, 4)), 120, "a case runs there")
        cluster.lose("right")

    try:
        with meanwhile(lose):
            outcome = lab.run(PLAYED % "5, 4")
    finally:
        if "right" not in cluster.daemons:
            cluster.start_node("right")
    first, last = by_batch(outcome)[5], by_batch(outcome)[4]
    assert {first.status, last.status} == {Status.OK}
    lost = [r for r in read_run(outcome.folder).records if r.status is Status.INFRA]
    assert [(r.transient, r.attempt) for r in lost] == [(True, 1)]
    assert "on right was lost with its node" in lost[0].reason


def test_the_users_interrupt_ends_exactly_these_tasks(lab: Lab) -> None:
    other = subprocess.run(
        ["sbatch", "--parsable", "--hold", "--output=/dev/null", "--wrap=sleep 1"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.strip()  # fmt: skip
    try:
        outcome = lab.run(
            PLAYED % "97, 98, 99", lambda: sum(runs_there(lab, one) for one in (97, 98, 99)) == 2
        )
        # A task whose harness has ended is in the queue until its node has told.
        until(lambda: squeue("--format=%i").split() == [other], 120, "no task of ours is left")
    finally:
        subprocess.run(["scancel", other], check=True, timeout=60)
    assert outcome.interrupted
    records = by_batch(outcome)
    assert {r.status for r in records.values()} == {Status.INTERRUPTED}
    begun = {batch for batch in records if (lab.attempt(batch) / BEGUN_FILE).exists()}
    assert len(begun) == 2  # what waited for a node never started
    assert {records[b].exit.killed_because for b in begun} == {"stopped by the user"}


def test_after_a_killed_driver_what_finished_is_adopted_and_what_runs_is_waited_for(
    lab: Lab,
) -> None:
    every = (6, 7, 8, 9)  # which two of them are first is Slurm's to say
    text = PLAYED % ", ".join(map(str, every))
    (lab.folder / "matrix.yaml").write_text(text)
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.test_slurm", lab.folder], cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: any(runs_there(lab, batch) for batch in every), 120, "a case runs")
        os.kill(driver.pid, signal.SIGKILL)
    finally:
        driver.kill()
        driver.wait()
    ended = f"cases/*/r1/a1/{RECORD_FILE}"
    until(lambda: any(lab.path.glob(ended)), 120, "a case ends by itself")
    outcome = lab.resume(text, lab.path)
    assert [record.attempt for record in outcome.records] == [1] * 4
    assert {record.status for record in outcome.records} == {Status.OK}
    assert any("taken up now" in told for told in lab.told)
    assert any("of an earlier start is taken up" in told for told in lab.told)
    assert len(read_run(outcome.folder).records) == 4
    assert len(list(lab.path.glob("slurm/*.sh"))) == 1


def test_a_python_without_the_harness_is_one_error_that_quotes_it(lab: Lab, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text('#!/bin/sh\necho "$0: No module named harness" >&2\nexit 1\n')
    bare.chmod(0o755)
    for python, quoted in ((bare, "No module named harness"), ("/no/such/python", "No such file")):
        lab.asks(python)
        with pytest.raises(MachineError, match="could not be started") as caught:
            lab.run(PLAYED % "1, 2")
        assert quoted in caught.value.message
        assert "python:" in caught.value.next_step


@pytest.mark.parametrize(
    ("line", "quoted"),
    [
        ("partition: nowhere", "invalid partition specified: nowhere"),
        ("constraint: huge", "Invalid feature specification"),
        ("gres: 'gpu:1'", "Invalid generic resource"),
        ("extra: [--memm=3]", "unrecognized option"),
    ],
)
def test_what_slurm_refuses_is_told_in_its_words_before_anything(
    lab: Lab, python: Path, line: str, quoted: str
) -> None:
    lab.asks(python, line)
    with pytest.raises(MachineError, match="does not take the tasks") as caught:
        lab.run(PLAYED % "1")
    assert quoted in caught.value.message
    assert not (lab.folder / "results").exists()


if __name__ == "__main__":
    there = Path(sys.argv[1])
    driven = Lab.__new__(Lab)
    driven.folder, driven.site, driven.told = there, there / "site.yaml", []
    driven.run((there / "matrix.yaml").read_text())
