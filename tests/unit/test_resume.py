"""A run that broke off and goes on: nothing lost, nothing doubled. On the scripted runtime."""

from __future__ import annotations

import errno
import fcntl
import json
from pathlib import Path

import pytest

from harness.analysis.disturbance import Disturbance
from harness.campaign import Outcome, Prepared, Schedule, UntilStable, resume, run
from harness.errors import InputError
from harness.events import Event, Note
from harness.model import Disturbed, LaunchSpec, Status
from harness.results.reading import read_run
from harness.results.run import JOURNAL, LOCK_FILE, RunFolder, is_alive
from harness.runtimes.scripted import Script
from harness.workload import contract
from tests.unit.runs import completing, failing, prepared, train
from tests.unit.test_campaign import STUDY, ignore

FOUR = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [8, 16, 32, 64]}
defaults: {protocol: smoke}
"""


class Interrupted:
    """Asks the run to end once so many cases have been started."""

    def __init__(self, after: int) -> None:
        self.left = after

    def script(self, spec: LaunchSpec) -> Script:
        self.left -= 1
        return completing()

    def __call__(self) -> bool:
        return self.left <= 0


def broken_off(tmp_path: Path, after: int = 2, matrix: str = FOUR) -> Outcome:
    """A run of which the user stopped the case number `after`, or just after it."""
    stop = Interrupted(after)
    made, _ = prepared(matrix, stop.script, tmp_path)
    return run(made, ignore, stop)


def go_on(
    tmp_path: Path, path: Path, *rerun: Status, matrix: str = FOUR, **more: object
) -> tuple[Outcome, list[str], int]:
    """The outcome, what was said, and how many attempts were made."""
    made, runtime = prepared(matrix, lambda spec: completing(**more), tmp_path)  # type: ignore[arg-type]
    said: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Note):
            said.append(event.text)

    return resume(made, path, rerun, hear), said, len(runtime.attempts)


def test_what_is_done_stays_and_the_rest_is_measured(tmp_path: Path) -> None:
    first = broken_off(tmp_path)
    before = [record for record in first.records if record.status.completed]
    outcome, said, attempts = go_on(tmp_path, first.folder)
    assert (outcome.folder, outcome.interrupted) == (first.folder, False)
    assert attempts == 4 - len(before)
    assert [r for r in outcome.records if r in before] == before
    assert len({record.case_id for record in outcome.records}) == 4
    assert f"{len(before)} results count as done" in said
    info = read_run(outcome.folder).info
    assert len(info.invocations) == 2
    assert all(invocation.finished_at for invocation in info.invocations)


def test_a_whole_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    made, _ = prepared(FOUR, lambda spec: completing(), tmp_path)
    first = run(made, ignore)
    outcome, said, attempts = go_on(tmp_path, first.folder)
    assert attempts == 0
    assert outcome.records == first.records
    assert said == ["4 results count as done"]


def test_a_torn_line_is_cut_off_and_kept_aside(tmp_path: Path) -> None:
    made, _ = prepared(FOUR, lambda spec: completing(), tmp_path)
    first = run(made, ignore)
    journal = first.folder / JOURNAL
    whole = journal.read_bytes()
    cut = len(whole) - 100
    journal.write_bytes(whole[:cut])
    torn = whole[:cut].rpartition(b"\n")[2]
    outcome, said, attempts = go_on(tmp_path, first.folder)
    assert attempts == 0  # its record.json was taken up
    assert outcome.records == first.records
    assert journal.read_bytes() == whole
    assert (first.folder / "records.torn").read_bytes() == torn + b"\n"
    assert said[0] == f"a torn line of {len(torn)} bytes was cut off into records.torn"


def test_an_attempt_that_finished_unnoticed_is_adopted_once(tmp_path: Path) -> None:
    made, _ = prepared(FOUR, lambda spec: completing(), tmp_path)
    first = run(made, ignore)
    journal = first.folder / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]))
    outcome, said, attempts = go_on(tmp_path, first.folder)
    assert attempts == 0
    assert journal.read_bytes().splitlines(keepends=True) == lines
    assert "not in the journal" in said[0]
    again, _, attempts = go_on(tmp_path, first.folder)
    assert (attempts, again.records) == (0, outcome.records)


def test_an_attempt_that_never_finished_keeps_its_folder_but_not_its_model(tmp_path: Path) -> None:
    made, _ = prepared(FOUR, lambda spec: completing(), tmp_path)
    first = run(made, ignore)
    journal = first.folder / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:3]))
    case_id = json.loads(lines[3])["case_id"]
    begun = first.folder / "cases" / case_id / "r1" / "a1"
    (begun / "record.json").unlink()
    (begun / contract.MODEL_FILE).write_text("a gigabyte")
    outcome, _, attempts = go_on(tmp_path, first.folder)
    assert attempts == 1
    assert outcome.records[-1].attempt == 2
    assert (begun / "log.txt").exists()
    assert not (begun / contract.MODEL_FILE).exists()


def test_an_attempt_that_another_machine_may_be_at_keeps_its_model(tmp_path: Path) -> None:
    made, _ = prepared(FOUR, lambda spec: completing(), tmp_path)
    first = run(made, ignore)
    lines = (first.folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (first.folder / JOURNAL).write_bytes(b"".join(lines[:2]))
    going, ended = (json.loads(line)["case_id"] for line in lines[2:])
    for case_id in (going, ended):
        attempt = first.folder / "cases" / case_id / "r1" / "a1"
        (attempt / "errand.json").write_text("{}")
        (attempt / contract.MODEL_FILE).write_text("a gigabyte")
    (first.folder / "cases" / going / "r1" / "a1" / "record.json").unlink()
    go_on(tmp_path, first.folder)
    left = list(first.folder.glob(f"cases/*/r1/a1/{contract.MODEL_FILE}"))
    assert [path.parents[2].name for path in left] == [going]


def test_a_changed_key_is_measured_again_and_said(tmp_path: Path) -> None:
    one = FOUR.replace("[8, 16, 32, 64]", "[8]")
    made, _ = prepared(one, lambda spec: completing(), tmp_path)
    first = run(made, ignore)
    (record,) = first.records
    journal = first.folder / JOURNAL
    journal.write_text(record.model_copy(update={"case_key": "f" * 64}).model_dump_json() + "\n")
    info = json.loads((first.folder / "run.json").read_text())
    info["ingredients"][record.case_id]["workload"] = "another"
    (first.folder / "run.json").write_text(json.dumps(info))
    outcome, said, attempts = go_on(tmp_path, first.folder, matrix=one)
    assert attempts == 1
    assert outcome.records[0].case_key == record.case_key
    assert said == [
        f"changed since: workload of {record.case_id}",
        "0 results count as done",
        f"measured again, since the case key has changed: {record.case_id}",
    ]


@pytest.mark.parametrize(("rerun", "attempts"), [((), 0), ((Status.FAILED,), 1)])
def test_failures_are_results_unless_they_are_named(
    tmp_path: Path, rerun: tuple[Status, ...], attempts: int
) -> None:
    scripts = iter([failing(3), completing(), completing(), completing()])
    made, _ = prepared(FOUR, lambda spec: next(scripts), tmp_path)
    first = run(made, ignore)
    outcome, _, made_attempts = go_on(tmp_path, first.folder, *rerun)
    assert made_attempts == attempts
    assert outcome.records[0].status is (Status.OK if rerun else Status.FAILED)


def test_faults_of_the_machine_are_measured_again_without_being_named(tmp_path: Path) -> None:
    scripts = iter([Script(refuses="no space"), completing(), completing(), completing()])
    made, _ = prepared(FOUR, lambda spec: next(scripts), tmp_path)
    first = run(made, ignore)
    outcome, said, attempts = go_on(tmp_path, first.folder)
    assert attempts == 1
    assert outcome.as_expected
    assert any("for how it ended" in text and "(infra)" in text for text in said)


def test_copies_of_a_measurement_are_made_where_they_are_missing(tmp_path: Path) -> None:
    made, _ = prepared(STUDY, lambda spec: completing(), tmp_path)
    first = run(made, ignore)
    journal = first.folder / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0])  # model-a on mnist; its twin on fashion-mnist is lost
    for folder in (first.folder / "cases").glob("model-b*"):
        (folder / "r1" / "a1" / "record.json").unlink()
    outcome, _, attempts = go_on(tmp_path, first.folder, matrix=STUDY)
    assert attempts == 1
    assert len(outcome.records) == 4
    assert sum(record.same_as is not None for record in outcome.records) == 2


def test_a_copy_whose_source_was_measured_anew_is_made_again(tmp_path: Path) -> None:
    made, _ = prepared(STUDY, lambda spec: failing(1), tmp_path)
    first = run(made, ignore)
    alone = STUDY.replace("[mnist, fashion-mnist]", "[mnist]")
    again, _, attempts = go_on(tmp_path, first.folder, Status.FAILED, matrix=alone)
    assert (attempts, len(again.records)) == (2, 2)
    outcome, _, attempts = go_on(tmp_path, first.folder, matrix=STUDY)
    assert attempts == 0
    assert [record.status for record in outcome.records] == [Status.OK] * 4


@pytest.mark.parametrize("until", [None, UntilStable(0.01, max_repeats=4)])
def test_a_repeat_beyond_the_matrix_that_was_interrupted_is_measured_again(
    tmp_path: Path, until: UntilStable | None
) -> None:
    one = FOUR.replace("[8, 16, 32, 64]", "[8]")
    stop = Interrupted(4)
    made, _ = prepared(one + "repeats: 4\n", stop.script, tmp_path)
    first = run(made, ignore, stop)
    assert read_run(first.folder).records[-1].status is Status.INTERRUPTED
    made, runtime = prepared(one + "repeats: 3\n", lambda spec: completing(), tmp_path)
    outcome = resume(made, first.folder, (), ignore, schedule=Schedule(until=until))
    assert [record.repeat for record in outcome.records] == [1, 2, 3, 4]
    assert outcome.as_expected
    assert len(runtime.attempts) == 1


def test_another_runtime_or_image_is_told(tmp_path: Path) -> None:
    made, _ = prepared(FOUR, lambda spec: completing(), tmp_path)
    first = run(made, ignore)
    journal = first.folder / JOURNAL
    records = [record.model_copy(update={"runtime": "docker"}) for record in first.records[:1]]
    records += first.records[1:]
    journal.write_text("".join(record.model_dump_json() + "\n" for record in records))
    _, said, attempts = go_on(tmp_path, first.folder)
    assert attempts == 0
    assert said[-1] == (
        f"done by another runtime or in another image than now: {first.records[0].case_id}"
    )


def test_a_matrix_that_grew_adds_its_cells(tmp_path: Path) -> None:
    made, _ = prepared(FOUR, lambda spec: completing(), tmp_path)
    first = run(made, ignore)
    grown = FOUR.replace("64]", "64, 128]").replace("8, 16, ", "16, ")
    outcome, _, attempts = go_on(tmp_path, first.folder, matrix=grown)
    assert attempts == 1
    assert [case.batch_size for case in read_run(outcome.folder).info.cases] == [8, 16, 32, 64, 128]


def test_another_machine_and_a_second_harness_are_refused(tmp_path: Path) -> None:
    first = broken_off(tmp_path)
    made, runtime = prepared(FOUR, lambda spec: completing(), tmp_path)
    elsewhere = Prepared(**{**vars(made), "machine_hash": "1" * 64})
    with pytest.raises(InputError, match="begun on another machine"):
        resume(elsewhere, first.folder, (), ignore)
    with RunFolder.open(first.folder).locked(), pytest.raises(InputError, match="another harness"):
        resume(made, first.folder, (), ignore)
    # As another machine's harness, which a network file system tells of by the file alone.
    with (first.folder / LOCK_FILE).open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another harness"):
            resume(made, first.folder, (), ignore)
    assert runtime.attempts == []


def test_a_file_system_without_locks_is_measured_on_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_handle: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    first = broken_off(tmp_path)
    outcome, _, _ = go_on(tmp_path, first.folder)
    assert outcome.as_expected
    assert is_alive(first.folder)  # where nobody can tell, it may be


def test_figures_of_before_and_after_stand_side_by_side(tmp_path: Path) -> None:
    first = broken_off(tmp_path)
    outcome, _, _ = go_on(tmp_path, first.folder, train=train(50.0))
    totals = sorted(r.timing.total_execution_s or 0 for r in outcome.records)
    assert set(totals) == {50.0, 100.0}
    assert read_run(outcome.folder).standing() == {
        (record.case_id, record.repeat): record for record in outcome.records
    }


def test_what_was_disturbed_counts_unless_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Disturbance(Disturbed.YES, ("others used 40% of the processors",))
    with monkeypatch.context() as patched:
        patched.setattr("harness.runner.sampling.disturbance", lambda *_, **__: found)
        made, _ = prepared(FOUR, lambda spec: completing(), tmp_path)
        lax = run(made, ignore)
        assert lax.as_expected
        assert lax.spoilt == ()
        strict = run(made, ignore, schedule=Schedule(strict=True))
    assert not strict.as_expected
    assert [record.disturbed_by for record in strict.spoilt] == [found.reasons] * 4
    made, runtime = prepared(FOUR, lambda spec: completing(), tmp_path)
    resume(made, lax.folder, (), ignore)
    assert len(runtime.attempts) == 0
    again = resume(made, strict.folder, (), ignore, schedule=Schedule(strict=True))
    assert len(runtime.attempts) == 4
    assert again.as_expected
