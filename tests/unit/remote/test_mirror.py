"""What a finished attempt leaves, told by the agent's own functions and kept by the mirror."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import MachineError
from harness.remote import agent
from harness.remote.bringing import Incoming
from harness.remote.mirror import Mirror
from tests.unit.remote.folders import a_run, add_attempt


def told(
    results: Path,
    at: int,
    capsys: pytest.CaptureFixture[str],
    before: dict[str, Any] | None = None,
) -> tuple[list[Any], int]:
    """What the agent says of the journal from `at` on, and where it has come."""
    after = agent.tell_attempts(str(results), at, {} if before is None else before)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(agent.MARK)]
    return [json.loads(line[len(agent.MARK) :]) for line in lines], after


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_attempts_arrive_as_they_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = a_run(tmp_path / "there")
    mirror = Mirror(tmp_path / "here", "job", None)
    assert told(there.parent, 0, capsys) == ([], 0)
    at = 0
    for number in (1, 2, 3):
        add_attempt(there, number)
        (there / "cases" / "unfinished" / "r1" / "a1").mkdir(parents=True, exist_ok=True)
        (there / "cases" / "unfinished" / "r1" / "a1" / "log.txt").write_text("not yet")
        words, at = told(there.parent, at, capsys)
        assert [word["path"] for word in words][-1] == "run/records.jsonl"
        for word in words:
            mirror.take(word)
        assert mirror.journal_bytes == at
    (there / "cases" / "unfinished" / "r1" / "a1" / "log.txt").unlink()
    assert mirror.folder == tmp_path / "here" / "run"
    assert files(mirror.folder) == files(there)
    assert told(there.parent, at, capsys) == ([], at)


def test_it_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = a_run(tmp_path / "there")
    add_attempt(there, 1)
    first = Mirror(tmp_path / "here", "job", None)
    words, _ = told(there.parent, 0, capsys)
    for word in words[:-1]:  # the connection breaks off before the journal's line
        first.take(word)
    assert first.journal_bytes == 0
    again = Mirror(tmp_path / "here", "job", first.name)
    add_attempt(there, 2)
    words, _ = told(there.parent, again.journal_bytes, capsys)
    for word in words:
        again.take(word)
    assert files(tmp_path / "here" / "run") == files(there)


def test_another_run_of_that_name_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, other = a_run(tmp_path / "there"), a_run(tmp_path / "here")
    before = files(other)
    add_attempt(there, 1)
    mirror = Mirror(other.parent, "job", None)
    for word in told(there.parent, 0, capsys)[0]:
        mirror.take(word)
    assert mirror.name == "run-job"
    assert files(other) == before
    assert files(other.parent / "run-job") == files(there)


def test_a_large_file_waits_for_the_whole_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = a_run(tmp_path / "there")
    attempt = add_attempt(there, 1)
    (attempt / "model").write_bytes(bytes(agent.LARGE + 1))
    (attempt / "log.txt").write_bytes(bytes(agent.LARGE))
    names = [word["path"].rpartition("/")[2] for word in told(there.parent, 0, capsys)[0]]
    assert names == ["run.json", "log.txt", "record.json", "records.jsonl"]


def test_the_run_s_facts_are_sent_where_they_have_changed_however_large(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, before, at = a_run(tmp_path / "there"), dict[str, Any](), 0
    sent = []
    for number, facts in enumerate(["{}", None, " " * agent.LARGE + "{}", None], start=1):
        if facts is not None:
            (there / "run.json").write_text(facts)
        add_attempt(there, number)
        words, at = told(there.parent, at, capsys, before)
        sent.append("run/run.json" in [word["path"] for word in words])
    assert sent == [True, False, True, False]


def test_a_damaged_line_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = a_run(tmp_path / "there")
    add_attempt(there, 1)
    with (there / "records.jsonl").open("a") as file:
        file.write('{"case_id": "half\n{"case_id": "torn')
    words, at = told(there.parent, 0, capsys)
    assert words[-1]["path"] == "run/records.jsonl"
    assert told(there.parent, at, capsys) == ([], at)


@pytest.mark.parametrize(
    "word",
    [
        {"path": "../run/run.json", "data": ""},
        {"path": "/etc/passwd", "data": ""},
        {"path": "run", "data": ""},
        {"path": "run.json"},
        {"path": "run/../../x", "line": "{}"},
        {"path": "run/run.json", "data": "no base64!"},
        {"path": "run/run.json"},
        {"path": 3, "data": ""},
        {"path": "run/records.jsonl", "line": 3},
        {"path": "run/records.jsonl", "line": "{}\n{}"},
    ],
)
def test_what_is_no_file_of_a_run_is_refused(tmp_path: Path, word: dict[str, Any]) -> None:
    results = tmp_path / "in" / "here"
    results.mkdir(parents=True)
    with pytest.raises(MachineError, match="the other machine sent"):
        Mirror(results, "job", None).take(word)
    assert list(tmp_path.rglob("*")) == [results.parent, results]


def test_the_whole_run_takes_the_part_s_place(tmp_path: Path) -> None:
    part = a_run(tmp_path)
    (part / "only-in-part").touch()
    with Incoming(tmp_path, "job") as incoming:
        whole = a_run(incoming.folder)
        add_attempt(whole, 1)
        expected = files(whole)
        assert incoming.settle(part) == part
    assert files(part) == expected
    with Incoming(tmp_path, "job") as incoming:  # nothing arrives
        assert incoming.settle(part) == part
    assert files(part) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
