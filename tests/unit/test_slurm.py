"""What is asked of Slurm, word for word, and what its answers mean."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import InputError, MachineError
from harness.executors.slurm.client import refusal
from harness.executors.slurm.executor import slurm_executor
from harness.executors.slurm.gather import Gathering
from harness.executors.slurm.queue import Queue
from harness.executors.slurm.script import Array, directive, script_text, task_folders, tasks_text
from harness.executors.slurm.site import Site, gres_of, load_site
from harness.executors.slurm.states import GONE, Seen, verdict
from harness.executors.slurm.task import last_printed
from harness.model import Status
from harness.plan import Means

SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=harness-the-run
#SBATCH --comment=harness.run=the-run
#SBATCH --array=1-3%8
#SBATCH --output='/shared/my %%runs/slurm/array-2-%a.out'
#SBATCH --open-mode=append
#SBATCH --no-requeue
#SBATCH --partition=gpu
#SBATCH --account=project
#SBATCH --constraint='a100|h100'
#SBATCH --gres=gpu:a100:1
#SBATCH --time=4:00:00
#SBATCH --mem=32G
# One attempt a task: its folder is that line of the list. What has its record is left
# alone, so that the rest can be done by hand:  sbatch '/shared/my %runs/slurm/array-2.sh'
set -e
module load apptainer
folder=$(sed -n "${SLURM_ARRAY_TASK_ID}p" '/shared/my %runs/slurm/array-2.tasks')
exec '/opt/my harness/python' -m harness attempt "$folder"
"""
SITE = """
partition: gpu
account: project
constraint: a100|h100
gres: "gpu:{model}:1"
time: "4:00:00"
extra: [--mem=32G]
prologue: [module load apptainer]
at_once: 8
"""


def site(folder: Path, text: str) -> Site:
    (folder / "site.yaml").write_text(text)
    return load_site(folder / "site.yaml")


def test_a_script_is_whole(tmp_path: Path) -> None:
    told = site(tmp_path, SITE)
    array = Array(Path("/shared/my %runs/slurm"), 2)
    text = script_text("the-run", array, 3, told, gres_of(told, "a100"), "/opt/my harness/python")
    assert text == SCRIPT
    assert "--gres" not in script_text("the-run", array, 3, told, None, "python")


@pytest.mark.parametrize(
    ("gres", "model", "asked"),
    [
        (None, None, None),
        (None, "a100", "gpu:a100:1"),
        ("gpu:1", None, "gpu:1"),
        ("gpu:{model}:2", "h100", "gpu:h100:2"),
    ],
)
def test_the_gpu_that_is_asked_for(gres: str | None, model: str | None, asked: str | None) -> None:
    assert gres_of(Site(gres=gres), model) == asked


@pytest.mark.parametrize(("gres", "model"), [("gpu:1", "a100"), ("gpu:{model}:1", None)])
def test_a_model_that_does_not_go_with_the_site_file(gres: str, model: str | None) -> None:
    with pytest.raises(InputError):
        gres_of(Site(gres=gres), model)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("partitoin: gpu", "site.yaml:1:1: unknown key 'partitoin'; did you mean 'partition'?"),
        ("at_once: many", "at_once"),
        ("time: 90", "write it in quotes"),
        ("extra: [mem=3]", "is no option of sbatch"),
        ("extra: [--array=1-9]", "--array is the harness's own"),
        ("[gpu]", "a site file is a mapping"),
        ("poll: soon", "is no duration"),
        ("at_once: 0", "at_once"),
    ],
)
def test_what_a_site_file_may_not_say(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        site(tmp_path, text)
    assert told in caught.value.message


def test_a_site_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the site file"):
        load_site(tmp_path / "no.yaml")


def test_without_slurm_the_next_step_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="Slurm is not on this machine") as caught:
        slurm_executor(Means("local", tmp_path), None, None)
    assert "login node" in caught.value.next_step


def test_folders_are_found_again_in_their_list() -> None:
    folders = [Path("/runs/a b/r1/a1"), Path("/runs/c/r1/a1")]
    assert task_folders(tasks_text(folders)) == dict(enumerate(folders, start=1))


def test_a_value_is_quoted_where_it_must_be() -> None:
    assert directive("--constraint=a&b") == "--constraint='a&b'"
    assert directive("--exclusive") == "--exclusive"


@pytest.mark.parametrize(
    ("state", "status", "transient"),
    [
        ("TIMEOUT", Status.TIMEOUT, False),
        ("OUT_OF_MEMORY", Status.OOM_HOST, False),
        ("CANCELLED", Status.INTERRUPTED, False),
        ("NODE_FAIL", Status.INFRA, True),
        ("PREEMPTED", Status.INFRA, True),
        ("BOOT_FAIL", Status.INFRA, True),
        ("FAILED", Status.INFRA, False),
        ("UNKNOWN", Status.INFRA, False),
    ],
)
def test_what_an_ending_without_a_record_means(state: str, status: Status, transient: bool) -> None:
    found = verdict("12_3", Seen(state, "node7", ""), "bash: no such file")
    assert (found.status, found.transient) == (status, transient)
    assert found.reason.startswith("job 12_3 on node7 ")
    assert ("no such file" in found.reason) == (state in ("FAILED", "UNKNOWN"))


def test_attempts_of_a_moment_are_one_array() -> None:
    arrays: list[int] = []

    def submit(folders: Sequence[Path]) -> list[str]:
        arrays.append(len(folders))
        return [f"{len(arrays)}_{folder.name}" for folder in folders]

    gathering, tasks = Gathering(submit, 1.0), {}
    threads = [
        threading.Thread(target=lambda n=n: tasks.update({n: gathering.task_for(Path(f"/{n}"))}))
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tasks == {n: f"1_{n}" for n in range(5)}
    assert gathering.task_for(Path("/9")) == "2_9"
    assert arrays == [5, 1]


class Played:
    """Slurm's answers, one after another."""

    def __init__(self, *answers: dict[str, Seen] | None) -> None:
        self.answers = list(answers)
        self.ended: list[list[str]] = []

    def states(self, jobs: Sequence[str]) -> dict[str, Seen] | None:
        return self.answers.pop(0)

    def accounted(self, task: str) -> Seen | None:
        return None

    def terminate(self, tasks: Sequence[str]) -> None:
        self.ended.append(list(tasks))


def test_a_controller_that_is_away_loses_nobody_and_a_forgotten_task_is_gone() -> None:
    runs = Seen("RUNNING", "node7", "None")
    queue = Queue(Played({"1_1": runs}, None, {}, None, {}), poll_s=0.0)
    queue.watch("1_1")
    assert [queue.look("1_1").seen for _ in range(4)] == [runs] * 4
    seen = queue.look("1_1").seen
    assert seen is not None
    assert (seen.ended, seen.state, seen.node) == (True, GONE.state, "node7")


def test_tasks_are_asked_to_end_once() -> None:
    played = Played()
    queue = Queue(played, poll_s=0.0)
    queue.watch("1_1")
    queue.stop()
    queue.watch("1_2")
    queue.stop()
    assert played.ended == [["1_1"], ["1_2"]]


def test_the_end_of_what_was_printed_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x\n" * 20 + "python: No module   named harness\n")
    assert last_printed(tmp_path / "out").endswith("x / python: No module named harness")
    assert last_printed(tmp_path / "none") == ""


def test_a_machine_without_slurms_configuration_is_not_the_site_files_fault() -> None:
    asked = "sbatch: fatal: Could not establish a configuration source"
    assert "login node" in refusal(asked).next_step
    assert "site file" in refusal("Invalid account").next_step
