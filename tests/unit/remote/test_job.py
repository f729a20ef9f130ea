"""A job from its start to its end, on a machine that is played by a shell here."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness.remote.job as jobs
from harness.errors import InputError, MachineError
from harness.events import Note
from harness.remote import Ended, Job, parse_address
from harness.remote import state as states
from harness.remote.mirror import Mirror
from harness.remote.options import RunOptions
from harness.remote.preparing import Order
from harness.remote.sources import agent_source
from harness.remote.talk import Given, Talk
from tests.unit.remote.played import (
    ANSWER_LOST,
    FINISHED,
    MEASURES,
    NO_NAME,
    REFUSED,
    UNFINISHED,
    Played,
    is_open,
)

ENDS = MEASURES.format(info=FINISHED)
LASTS = (
    MEASURES.format(info=UNFINISHED)
    + "; while [ -e agent.py ] && [ ! -e go ]; do sleep 0.05; done; "
    + ENDS
)
STOPS = (
    f"end() {{ {ENDS}; exit 130; }}\ntrap end TERM\n"
    f"{MEASURES.format(info=UNFINISHED)}\nwhile [ -e agent.py ]; do sleep 0.05; done"
)


class Notes(list[str]):
    def __call__(self, event: object) -> None:
        if isinstance(event, Note):
            self.append(event.text)


def no_wish() -> bool:
    return False


def begin(
    machine: Played,
    monkeypatch: pytest.MonkeyPatch,
    ready: Callable[[Talk], Any],
    stopped: Callable[[], bool] = no_wish,
    notes: Notes | None = None,
) -> Ended:
    """A job whose preparation is `ready`."""
    monkeypatch.setattr(jobs, "look", lambda talk, order: None)
    monkeypatch.setattr(jobs, "new_state", lambda *_: machine.state)
    monkeypatch.setattr(jobs, "make_ready", lambda talk, order, site: ready(talk))
    order = Order("", "matrix.yaml", RunOptions(), (), machine.results, keep=False)
    job = Job(parse_address("ssh://gpu1"), "gpu1", Notes() if notes is None else notes, stopped)
    return job.begin(order)


def start(talk: Talk) -> None:
    talk.ask("start")


def take_up(
    machine: Played,
    stage: str = states.RUNNING,
    stopped: Callable[[], bool] = no_wish,
    **changes: str,
) -> Ended:
    state = machine.state.model_copy(update={"stage": stage, **changes})
    states.save(state)
    return Job.of(state, Notes(), stopped).take_up()


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_is_started_followed_brought_and_removed(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.make(ENDS)
    ended = begin(played, monkeypatch, start)
    assert (ended.code, ended.error) == (0, None)
    assert ended.folder == played.results / "run"
    assert not played.job.exists()
    assert not is_open(played)


def test_a_name_server_that_fails_for_a_while_is_waited_for(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.make(ENDS)
    played.instead += [(" follow ", NO_NAME)] * 3
    notes = Notes()
    assert begin(played, monkeypatch, start, notes=notes).code == 0
    assert sum("lost the connection" in note for note in notes) == 1


def test_a_wrong_name_fails_at_the_first_look(played: Played) -> None:
    played.instead += [("probe", NO_NAME)] * 2
    order = Order("", "matrix.yaml", RunOptions(), (), played.results, keep=False)
    with pytest.raises(MachineError, match="there is no host gpu1"):
        Job(parse_address("ssh://gpu1"), "gpu1", Notes()).begin(order)
    assert len(played.asked) == 1


def test_what_ends_the_following_says_how_to_go_on(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.make(LASTS)
    played.instead.append((" follow ", REFUSED))
    with pytest.raises(MachineError, match="refuses this user's keys") as caught:
        begin(played, monkeypatch, start)
    assert "ssh-copy-id" in caught.value.next_step
    assert "the run goes on there: harness attach abcd1234" in caught.value.next_step
    assert is_open(played)
    (played.job / "go").touch()
    assert Job.of(states.find_job("abcd1234"), Notes(), no_wish).take_up().code == 0
    assert not is_open(played)


@pytest.mark.parametrize("lost", ["{command}; exec sleep 60", ANSWER_LOST])
def test_a_wish_to_stop_while_the_start_is_answered_ends_the_run_there(
    played: Played, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    played.make(STOPS)
    played.instead.append((" start ", lost))
    ended = begin(played, monkeypatch, start, (played.job / "measuring").exists)
    assert (ended.code, ended.error) == (130, None)
    assert ended.folder is not None
    assert (ended.folder / "run.json").read_text().strip() == FINISHED
    assert not played.job.exists()
    assert not is_open(played)


def test_a_machine_that_is_lost_while_it_starts_leaves_a_job_that_is_told(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.make(LASTS)
    played.instead += [(" start ", "{command}; exec sleep 60"), (" clean ", REFUSED)]
    notes = Notes()
    with pytest.raises(Given):
        begin(played, monkeypatch, start, (played.job / "measuring").exists, notes)
    assert notes[-1] == "it may have begun there: harness attach abcd1234"
    assert is_open(played)
    (played.job / "go").touch()
    assert Job.of(states.find_job("abcd1234"), Notes(), no_wish).take_up().code == 0


def test_what_had_not_begun_is_cleared_away(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(talk: Talk) -> None:
        raise Given

    played.make(ENDS)
    with pytest.raises(Given):
        begin(played, monkeypatch, given)
    assert not played.job.exists()
    assert not is_open(played)


@pytest.mark.parametrize("as_far_as_this", [b"half of", agent_source()], ids=["half", "whole"])
def test_a_folder_whose_making_broke_off_is_removed(
    played: Played, monkeypatch: pytest.MonkeyPatch, as_far_as_this: bytes
) -> None:
    def half(talk: Talk) -> None:
        played.job.mkdir(parents=True)
        (played.job / "agent.py").write_bytes(as_far_as_this)
        raise MachineError("the disk is full")

    with pytest.raises(MachineError, match="the disk is full"):
        begin(played, monkeypatch, half)
    assert not played.job.exists()
    assert not is_open(played)


@pytest.mark.parametrize("stage", [states.PREPARING, states.RUNNING])
def test_a_job_whose_folder_is_not_there_is_forgotten(played: Played, stage: str) -> None:
    with pytest.raises(MachineError, match="is no longer there: there is nothing to bring"):
        take_up(played, stage)
    assert not is_open(played)


def test_a_job_that_had_not_begun_is_removed(played: Played) -> None:
    played.make(ENDS)
    with pytest.raises(MachineError, match="had not begun to measure"):
        take_up(played, states.PREPARING)
    assert not played.job.exists()
    assert not is_open(played)


def test_a_python_that_is_gone_loses_no_job(played: Played) -> None:
    played.make(ENDS)
    with pytest.raises(MachineError, match="its Python /no/such/python is not") as caught:
        take_up(played, python="/no/such/python")
    assert "put it back there" in caught.value.next_step
    assert is_open(played)
    assert played.job.exists()


def test_a_machine_that_is_wiped_while_it_is_followed_is_told_in_words(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.make(LASTS)

    def wiped(talk: Talk) -> None:
        start(talk)
        until((played.job / "measuring").exists)
        played.wipe()

    with pytest.raises(MachineError) as caught:
        begin(played, monkeypatch, wiped)
    assert caught.value.message == "the job abcd1234 is no longer there: there is nothing to bring"
    assert not is_open(played)


@pytest.mark.parametrize("command", [" log ", " bring "])
def test_a_machine_that_is_wiped_before_all_is_here_is_told_in_words(
    played: Played, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    played.make(ENDS)
    played.instead.append((command, f"rm -r {played.job}; {{command}}"))
    with pytest.raises(MachineError, match="is no longer there"):
        begin(played, monkeypatch, start)
    assert not is_open(played)


def test_a_clean_up_whose_answer_is_lost_leaves_no_job(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.make(ENDS)
    played.instead.append((" clean ", ANSWER_LOST))
    notes = Notes()
    assert begin(played, monkeypatch, start, notes=notes).error is None
    assert not played.job.exists()
    assert not is_open(played)
    assert not [note for note in notes if "is left there" in note]


def test_what_goes_on_writing_there_is_told_and_removed_later(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.make(f"{ENDS}; echo its words")
    half = (
        f"cd {played.job}; mv results brought; rm lock job.json; echo 'goes on writing' >&2; exit 1"
    )
    played.instead.append((" clean ", half))
    notes = Notes()
    begin(played, monkeypatch, start, notes=notes)
    assert any("is left there" in note and "goes on writing" in note for note in notes)
    assert is_open(played)
    here = {path.name: path.read_text() for path in (played.results / "run").iterdir()}
    assert here["remote.log"] == "its words\n"
    ended = Job.of(states.find_job("abcd1234"), Notes(), no_wish).take_up()
    assert (ended.code, ended.error) == (0, None)
    assert here == {path.name: path.read_text() for path in (played.results / "run").iterdir()}
    assert not played.job.exists()
    assert not is_open(played)


def test_where_the_first_attempt_goes_is_written_down_before_it_is_there(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def killed(mirror: Mirror, told: object) -> None:
        raise KilledError

    line = """echo '{"case_id": "c", "repeat": 1, "attempt": 1}' >results/run/records.jsonl"""
    played.make(LASTS.replace("touch measuring", line))
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "take", killed)
        with pytest.raises(KilledError):
            begin(played, patch, start)
    assert not played.results.exists()
    (state,) = states.open_jobs()
    assert state.run == "run"
    (played.job / "go").touch()
    Job.of(state, Notes(), no_wish).take_up()
    assert [path.name for path in played.results.iterdir()] == ["run"]


def test_a_crash_there_is_no_case_that_failed(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = MEASURES.format(info=UNFINISHED)
    played.make(f"{info}; echo 'Traceback …'; echo 'ValueError: x'; exit 1")
    ended = begin(played, monkeypatch, start)
    assert ended.code == 3
    assert ended.folder == played.results / "run"
    assert ended.error is not None
    assert "| ValueError: x" in ended.error.message


def test_a_wish_to_stop_before_the_first_case_is_no_error(played: Played) -> None:
    played.make("touch measuring; exec sleep 60")
    states.save(played.state)
    Job.of(played.state, Notes(), no_wish)._talk.ask("start")
    until((played.job / "measuring").exists)
    ended = take_up(played, stopped=lambda: True)
    assert (ended.code, ended.error, ended.folder) == (130, None, None)


def test_a_job_that_another_terminal_has_ended_is_told_so(played: Played) -> None:
    state = played.state
    states.save(state)
    job = Job.of(state, Notes(), no_wish)
    states.forget(state)
    with pytest.raises(InputError, match="the job abcd1234 is done with"):
        job.take_up()
    with pytest.raises(InputError, match="is done with"), states.followed(state):
        pass


def test_data_that_cannot_be_read_is_told(played: Played, tmp_path: Path) -> None:
    played.make(ENDS)
    talk = Talk(parse_address("ssh://gpu1"), Notes(), state=played.state)
    with pytest.raises(MachineError, match=r"x\.gz cannot be read: No such file"):
        talk.put("data/x.gz", tmp_path / "x.gz")
    (tmp_path / "x.gz").write_bytes(b"content")
    talk.put("data/x.gz", tmp_path / "x.gz")
    assert (played.job / "data" / "x.gz").read_bytes() == b"content"
