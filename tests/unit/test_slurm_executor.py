"""A run on a played cluster: the real executor, campaign and files; Slurm's answers are played."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign import Outcome, Prepared, Request, prepare_elsewhere, resume, run
from harness.errors import InfraError, MachineError
from harness.events import CaseStarted, Event, Note
from harness.executors import Inline
from harness.executors.errand import Errand
from harness.executors.slurm.client import SlurmCommands
from harness.executors.slurm.executor import Cluster, SlurmExecutor
from harness.executors.slurm.queue import Pace
from harness.executors.slurm.script import task_folders
from harness.executors.slurm.site import Site
from harness.executors.slurm.states import Seen
from harness.matrix import parse
from harness.model import Device, Status
from harness.plan import Means, plan_elsewhere
from harness.results.reading import read_run
from harness.results.run import ERRAND_FILE, JOURNAL, RECORD_FILE
from harness.runner import Place
from harness.runtimes.scripted import ScriptedRuntime
from tests.unit.runs import completing

TWO = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [8, 16]}
defaults: {protocol: smoke}
retries: 0
"""
QUICK = Pace(gather_s=0.02, poll_s=0.05, grace_s=0.5, leave_s=0.2, away_s=5.0)


class Played:
    """A controller whose tasks do what `does` says with an attempt's folder."""

    def __init__(self, does: Callable[[Path], None]) -> None:
        self.does = does
        self.submitted: list[str] = []
        self.states_: dict[str, Seen] = {}
        self.scripts: dict[str, str] = {}
        self.away = 0

    def submit(self, script: Path) -> str:
        if self.away:
            self.away -= 1
            raise InfraError("sbatch: Unable to contact slurm controller", transient=True)
        number = str(len(self.submitted) + 1)
        self.submitted.append(number)
        folders = task_folders(script.with_suffix(".tasks").read_text("utf-8"))
        for task, folder in folders.items():
            self.does(folder)
            self.states_[f"{number}_{task}"] = Seen("COMPLETED", "node7", "None")
        return number

    def states(self, jobs: Sequence[str]) -> dict[str, Seen] | None:
        return {name: seen for name, seen in self.states_.items() if name.split("_")[0] in jobs}

    def queued(self, job_name: str) -> dict[str, str]:
        return self.scripts

    def accounted(self, task: str) -> Seen | None:
        return None

    def terminate(self, tasks: Sequence[str]) -> None:
        raise AssertionError("nobody asked for it")

    cancel = terminate


def does_it(folder: Path) -> None:
    """What a node does with an errand, on the processor, with the scripted runtime."""
    errand = Errand.model_validate_json((folder / ERRAND_FILE).read_bytes())
    means = Means(errand.runtime, folder)
    (planned,) = plan_elsewhere([errand.case], {errand.case.gpu: Device(kind="cpu")}, means)
    place = Place(errand.run_id, "node7", errand.repeat, errand.attempt, folder, errand.labels)
    playing = Inline(ScriptedRuntime(lambda _spec: completing()))
    playing.attempt(planned, place, lambda _event: None, lambda: False)


def prepared(folder: Path, played: Played, pace: Pace = QUICK) -> Prepared:
    matrix = parse(TWO)
    request = Request(results=folder, runtime="docker")
    cluster = Cluster(request.means(matrix), Site(), None, None, "a played cluster")
    executor = SlurmExecutor(cluster, played, pace)
    return prepare_elsewhere(matrix, TWO, request, executor, lambda _text: None)


def measured(folder: Path, played: Played, pace: Pace = QUICK) -> tuple[Outcome, list[str]]:
    told: list[str] = []

    def on_event(event: Event) -> None:
        told.extend([event.text] if isinstance(event, Note) else [])

    return run(prepared(folder, played, pace), on_event), told


def broken_off(folder: Path, unfinished: str) -> tuple[Path, Path]:
    """A run whose driver died while the task of `unfinished` was under way, and its attempt."""
    outcome, _ = measured(folder, Played(does_it))
    journal = outcome.folder / JOURNAL
    lines = journal.read_text("utf-8").splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if unfinished not in line), "utf-8")
    (attempt,) = outcome.folder.glob(f"cases/*{unfinished}*/r1/a1")
    return outcome.folder, attempt


def left(path: Path) -> dict[str, str]:
    """What squeue would tell of all tasks of a run."""
    return {
        f"9_{task}": str(listed.with_suffix(".sh"))
        for listed in path.glob("slurm/*.tasks")
        for task in task_folders(listed.read_text("utf-8"))
    }


def test_two_cases_are_two_tasks_on_the_processor(tmp_path: Path) -> None:
    outcome, _ = measured(tmp_path, Played(does_it))
    assert outcome.as_expected
    assert [record.status for record in outcome.records] == [Status.OK] * 2
    for errand in outcome.folder.glob(f"cases/*/r1/a1/{ERRAND_FILE}"):
        assert not Errand.model_validate_json(errand.read_bytes()).on_gpu


def test_a_task_that_ends_between_the_look_and_its_turn_is_taken_up(tmp_path: Path) -> None:
    path, attempt = broken_off(tmp_path, "_b16_")
    (attempt / RECORD_FILE).rename(attempt / "later.json")

    class Ending(Played):
        """Squeue tells of the task, which ends before its turn has come."""

        def queued(self, job_name: str) -> dict[str, str]:
            return left(path)

        def states(self, jobs: Sequence[str]) -> dict[str, Seen] | None:
            return {name: Seen("COMPLETED", "node7", "None") for name in left(path)}

    def its_turn(event: Event) -> None:
        if isinstance(event, CaseStarted):
            (attempt / "later.json").rename(attempt / RECORD_FILE)

    again = Ending(does_it)
    made = prepared(tmp_path, again)
    outcome = resume(made, path, (), its_turn)
    assert again.submitted == []
    assert outcome.as_expected
    assert [record.attempt for record in read_run(path).records] == [1, 1]


def test_where_slurm_does_not_tell_what_is_left_nothing_is_begun(tmp_path: Path) -> None:
    path, _ = broken_off(tmp_path, "_b16_")

    class Silent(Played):
        def queued(self, job_name: str) -> dict[str, str]:
            raise MachineError("Slurm does not say", "wait")

    silent = Silent(does_it)
    with pytest.raises(MachineError, match="does not say"):
        resume(prepared(tmp_path, silent), path, (), lambda _event: None)
    assert silent.submitted == []


def test_an_unanswered_squeue_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'Socket timed out' >&2\nexit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(MachineError, match="still under way"):
        SlurmCommands().queued("harness-run")


def test_a_controller_that_is_away_costs_no_attempt_and_is_told_once(tmp_path: Path) -> None:
    played = Played(does_it)
    played.away = 3
    outcome, told = measured(tmp_path, played)
    assert outcome.as_expected
    assert [record.attempt for record in outcome.records] == [1, 1]
    assert len([text for text in told if "contact slurm controller" in text]) == 1


def test_one_that_stays_away_is_a_fault_of_the_cluster(tmp_path: Path) -> None:
    played = Played(does_it)
    played.away = 1000
    outcome, _ = measured(tmp_path, played, replace(QUICK, away_s=0.2))
    assert [record.status for record in outcome.records] == [Status.INFRA] * 2


def test_a_record_that_is_seen_late_is_never_given_up(tmp_path: Path) -> None:
    """Slurm is asked seldom, and the shared folder shows the record after the task has ended."""

    def late(folder: Path) -> None:
        does_it(folder)
        (folder / RECORD_FILE).rename(folder / "later.json")
        threading.Timer(0.15, (folder / "later.json").rename, [folder / RECORD_FILE]).start()

    outcome, _ = measured(tmp_path, Played(late), replace(QUICK, poll_s=2.0, grace_s=1.0))
    assert [record.status for record in outcome.records] == [Status.OK] * 2
