"""Retries, repeats until stable, several devices at once. On the scripted runtime."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign import Prepared, Schedule, UntilStable, attempts, resume, run
from harness.campaign.schedule import Enough
from harness.errors import MachineError
from harness.events import Event, Note, Retrying
from harness.host.salted import salted
from harness.model import Device, Disturbed, LaunchSpec, Record, Status
from harness.results.reading import read_run
from harness.results.run import JOURNAL, RunFolder
from harness.runtimes.scripted import Script, ScriptedRuntime
from tests.unit.comparing import case, repeats
from tests.unit.runs import completing, failing, prepared, train
from tests.unit.test_campaign import ONE, ignore
from tests.unit.test_resume import FOUR

CARDS = tuple(Device(kind="gpu", name="RTX 2060", uuid=f"GPU-{n}") for n in (1, 2))
Shared = tuple[Prepared, ScriptedRuntime]
ON_CARD = {"device": {"kind": "gpu", "name": "RTX 2060"}}


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST_WAIT_S", 0.01)


# ------------------------------------------------------------------ retries


def refusing(transient: bool) -> Script:
    return Script(refuses="the engine does not answer", transient=transient)


@pytest.mark.parametrize(
    ("scripts", "statuses", "waits"),
    [
        ([refusing(True), completing()], ["infra", "ok"], [0.01]),
        ([refusing(True)] * 4, ["infra"] * 3, [0.01, 0.02]),
        ([refusing(False), completing()], ["infra"], []),
        ([failing(1), completing()], ["failed"], []),
    ],
    ids=["a fault that passes", "one that stays", "one that cannot pass", "the case's own failure"],
)
def test_only_faults_that_may_pass_are_tried_again_and_each_attempt_is_kept(
    tmp_path: Path, scripts: list[Script], statuses: list[str], waits: list[float]
) -> None:
    coming = iter(scripts)
    made, _ = prepared(ONE, lambda spec: next(coming), tmp_path)
    told: list[Event] = []
    outcome = run(made, told.append)
    records = read_run(outcome.folder).records
    assert [record.status.value for record in records] == statuses
    assert [record.attempt for record in records] == list(range(1, len(statuses) + 1))
    assert [event.wait_s for event in told if isinstance(event, Retrying)] == waits
    assert [r.status.value for r in outcome.records] == statuses[-1:]


def test_what_an_engine_could_not_remove_is_asked_for_until_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coming = iter([refusing(True), refusing(True), completing()])
    made, runtime = prepared(ONE, lambda spec: next(coming), tmp_path)
    sweep = ScriptedRuntime.sweep
    asked: list[str | None] = []

    def first_away(self: ScriptedRuntime, labels: dict[str, str]) -> list[str]:
        asked.append(labels.get("harness.attempt"))
        if len(asked) == 1:
            raise MachineError("the engine does not answer")
        return sweep(self, labels)

    monkeypatch.setattr(ScriptedRuntime, "sweep", first_away)
    outcome = run(made, ignore)
    assert [record.status for record in outcome.records] == [Status.OK]
    assert asked == ["r1.a1", "r1.a1", "r1.a2", None]  # and at the end, whatever is the run's
    assert runtime.swept[-1] == {"harness.run": outcome.folder.name}


def test_the_user_need_not_wait_for_a_retry(tmp_path: Path) -> None:
    made, _ = prepared(ONE, lambda spec: refusing(True), tmp_path)
    asked = threading.Event()

    def hear(event: Event) -> None:
        if isinstance(event, Retrying):
            asked.set()

    outcome = run(made, hear, asked.is_set)
    assert outcome.interrupted
    assert len(read_run(outcome.folder).records) == 1


# ------------------------------------------------------------------ until stable


def measured(tmp_path: Path, totals: list[float], until: UntilStable, repeats: int = 2) -> int:
    """How many repeats were made of a case that takes `totals`, the last again and again."""
    coming = iter([*totals, *totals[-1:] * 50])
    matrix = ONE + f"repeats: {repeats}\n"
    made, _ = prepared(matrix, lambda spec: completing(train=train(next(coming))), tmp_path)
    return len(run(made, ignore, schedule=Schedule(until=until)).records)


def test_a_stable_case_is_not_repeated_beyond_what_its_interval_needs(tmp_path: Path) -> None:
    steady = measured(tmp_path / "steady", [100.0, 100.1, 99.9], UntilStable(0.01))
    noisy = measured(
        tmp_path / "noisy", [100.0, 120.0, 80.0, 110.0, 90.0, 100.0], UntilStable(0.05)
    )
    assert steady < noisy <= 20


def test_the_caps_on_repeats_and_time_hold(tmp_path: Path) -> None:
    wild = [100.0 * (1 + n % 5) for n in range(60)]
    assert measured(tmp_path / "a", wild, UntilStable(0.001, max_repeats=7)) == 7
    assert measured(tmp_path / "b", wild, UntilStable(0.001, max_repeats=1), repeats=3) == 3
    assert measured(tmp_path / "c", wild, UntilStable(0.001, max_time_s=0.0), repeats=3) == 3


def test_a_case_that_fails_is_not_repeated(tmp_path: Path) -> None:
    made, _ = prepared(ONE, lambda spec: failing(1), tmp_path)
    assert len(run(made, ignore, schedule=Schedule(until=UntilStable(0.01))).records) == 1


def test_what_was_disturbed_makes_no_case_stable_where_it_does_not_count() -> None:
    quiet = repeats(case(), 100.0, 100.1, 99.9, 100.0)
    spoilt = [one.model_copy(update={"disturbed": Disturbed.YES}) for one in quiet]
    until = UntilStable(0.01)
    assert not Enough(Schedule(until=until)).another(spoilt, 1.0)
    strict = Enough(Schedule(until=until, strict=True))
    assert strict.another(spoilt, 1.0)
    assert not strict.another(quiet, 1.0)
    assert not strict.another(spoilt * 5, 1.0)  # the cap holds


# ------------------------------------------------------------------ side by side


class Bench:
    """Two cards; notes what is on each, and fails where one is used twice at once."""

    def __init__(self, seconds: float = 0.1) -> None:
        self.seconds = seconds
        self.used: list[str] = []

    def script(self, spec: LaunchSpec) -> Script:
        assert spec.device.uuid is not None
        self.used.append(spec.device.uuid)
        whole = completing(train=train(10.0, **ON_CARD), infer={**train(), **ON_CARD})
        return replace(whole, steps=(*whole.steps, self.seconds))


def test_two_cards_share_the_cases_and_the_records_say_who_ran_beside_whom(tmp_path: Path) -> None:
    bench, both = Bench(), threading.Barrier(2)

    def script(spec: LaunchSpec) -> Script:
        both.wait(10)  # neither card does all the work
        return bench.script(spec)

    made, _ = prepared(FOUR, script, tmp_path, CARDS[0])
    shared = replace(made, planned=tuple(replace(case, pool=CARDS) for case in made.planned))
    outcome = run(shared, ignore, schedule=Schedule(parallel=True))
    assert [record.status for record in outcome.records] == [Status.OK] * 4
    assert set(bench.used) == {"GPU-1", "GPU-2"}
    assert {record.device.uuid for record in outcome.records} == {salted("GPU-1"), salted("GPU-2")}
    assert all(record.beside for record in outcome.records)
    assert all(record.case_id not in record.beside for record in outcome.records)


def test_without_parallel_one_case_runs_at_a_time(tmp_path: Path) -> None:
    made, _ = prepared(FOUR, Bench(0.0).script, tmp_path, CARDS[0])
    shared = replace(made, planned=tuple(replace(case, pool=CARDS) for case in made.planned))
    outcome = run(shared, ignore)
    assert {record.device.uuid for record in outcome.records} == {salted("GPU-1")}
    assert all(record.beside == () for record in outcome.records)


def on_cards(text: str, scripts: Callable[[LaunchSpec], Script], tmp_path: Path) -> Shared:
    """A run whose cases may take either card, and its runtime."""
    made, runtime = prepared(text, scripts, tmp_path, CARDS[0])
    planned = tuple(replace(case, pool=CARDS) for case in made.planned)
    return replace(made, planned=planned), runtime


def test_a_retry_leaves_the_other_repeats_alone(tmp_path: Path) -> None:
    bench = Bench()
    coming = iter([refusing(True)])
    made, runtime = on_cards(
        ONE + "repeats: 2\n", lambda spec: next(coming, None) or bench.script(spec), tmp_path
    )
    outcome = run(made, ignore, schedule=Schedule(parallel=True))
    assert [record.status for record in outcome.records] == [Status.OK] * 2
    (lost,) = [r for r in read_run(outcome.folder).records if r.status is Status.INFRA]
    assert runtime.swept == [
        {
            "harness.run": outcome.folder.name,
            "harness.case": lost.case_id,
            "harness.attempt": f"r{lost.repeat}.a1",
        },
        {"harness.run": outcome.folder.name},  # when nothing of it is at work any more
    ]


def test_no_repeat_is_begun_twice_while_others_are_under_way(tmp_path: Path) -> None:
    totals = iter([100.0 * (1 + n % 5) for n in range(60)])

    def script(spec: LaunchSpec) -> Script:
        if spec.labels["harness.attempt"] == "r1.a1":
            return refusing(True)  # and again a moment later, while the other card goes on
        whole = completing(train=train(next(totals), **ON_CARD), infer={**train(), **ON_CARD})
        return replace(whole, steps=(*whole.steps, 0.1))

    made, _ = on_cards(ONE + "repeats: 2\n", script, tmp_path)
    until = UntilStable(0.001, max_repeats=6)
    outcome = run(made, ignore, schedule=Schedule(parallel=True, until=until))
    done = [r.repeat for r in read_run(outcome.folder).records if r.status.completed]
    assert sorted(done) == [1, 2, 3, 4, 5, 6]


def test_nothing_follows_a_line_of_the_journal_that_may_be_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RunFolder.journal
    written: list[str] = []

    def journal(folder: RunFolder, record: Record) -> None:
        written.append(record.case_id)
        if len(written) == 1:
            with (folder.path / JOURNAL).open("a") as file:
                file.write(record.model_dump_json()[:50])
            raise MachineError("the disk is full")
        real(folder, record)

    monkeypatch.setattr(RunFolder, "journal", journal)
    made, _ = on_cards(FOUR, Bench(0.3).script, tmp_path)
    with pytest.raises(MachineError, match="disk is full"):
        run(made, ignore, schedule=Schedule(parallel=True))
    assert len(written) == 1
    monkeypatch.undo()
    (folder,) = tmp_path.iterdir()
    made, runtime = on_cards(FOUR, Bench(0.0).script, tmp_path)
    outcome = resume(made, folder, (), ignore)
    assert len(read_run(folder).records) == 4
    assert outcome.as_expected
    assert len(runtime.attempts) == 2  # those that both cards had finished were taken up


def test_ctrl_c_ends_all_lanes(tmp_path: Path) -> None:
    bench, asked = Bench(30.0), threading.Event()

    def script(spec: LaunchSpec) -> Script:
        begun = bench.script(spec)
        if len(bench.used) == 2:
            asked.set()
        return begun

    made, runtime = prepared(FOUR, script, tmp_path, CARDS[0])
    shared = replace(made, planned=tuple(replace(case, pool=CARDS) for case in made.planned))
    started = time.monotonic()
    outcome = run(shared, ignore, asked.is_set, Schedule(parallel=True))
    assert time.monotonic() - started < 25
    assert outcome.interrupted
    assert [record.status for record in outcome.records] == [Status.INTERRUPTED] * 2
    assert all(attempt.removed for attempt in runtime.attempts)


def test_an_error_in_one_lane_ends_the_run_and_is_raised(tmp_path: Path) -> None:
    made, _ = prepared(FOUR, Bench(0.2).script, tmp_path, CARDS[0])
    shared = replace(made, planned=tuple(replace(case, pool=CARDS) for case in made.planned))

    def hear(event: Event) -> None:
        if not isinstance(event, Note):
            raise MachineError("the disk is full")

    with pytest.raises(MachineError, match="disk is full"):
        run(shared, hear, schedule=Schedule(parallel=True))
