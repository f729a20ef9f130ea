"""A run folder out of a tar stream that nobody trusts, and how a run elsewhere ended."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.remote.bringing import Incoming, safe_path, unpack
from harness.remote.ending import Ended, judge
from harness.remote.together import worst


def stream(*members: tuple[str, bytes | None], links: tuple[tuple[str, str], ...] = ()) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.mode = 0o4777
            if data is None:
                member.type = tarfile.DIRTYPE
            member.size = len(data or b"")
            tar.addfile(member, io.BytesIO(data or b""))
        for name, target in links:
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member = tarfile.TarInfo(name + kind.decode())
                member.type, member.linkname = kind, target
                tar.addfile(member)
    return content.getvalue()


def test_only_plain_files_below_the_folder_arrive(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    bad = ("../outside", "/tmp/harness-outside", "run/../../outside", "..", "run/new\nline")
    data = stream(
        ("run", None),
        ("run/records.jsonl", b"{}\n"),
        *((name, b"x") for name in bad),
        links=(("run/link", "/etc/passwd"),),
    )
    left_out = unpack(io.BytesIO(data), into)
    assert sorted(left_out) == sorted([*bad, "run/link1", "run/link2"])
    assert (into / "run" / "records.jsonl").read_bytes() == b"{}\n"
    assert (into / "run" / "records.jsonl").stat().st_mode & 0o7777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["into"]
    assert [path.name for path in into.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["/a", "../a", "a/../../b", "", ".", "a\x00b", "a\\b"])
def test_a_name_that_leads_elsewhere_is_none(name: str) -> None:
    assert safe_path(name) is None


@pytest.mark.parametrize("cut", [700, 1100, 5000])
def test_a_stream_that_breaks_off_is_told(tmp_path: Path, cut: int) -> None:
    data = stream(("run/log.txt", b"x" * 8000))
    with pytest.raises(tarfile.TarError):
        unpack(io.BytesIO(data[:cut]), tmp_path)


def arrive(results: Path, journal: bytes) -> Path | None:
    with Incoming(results, "0a") as incoming:
        data = stream(("run1/run.json", b"{}"), ("run1/records.jsonl", journal))
        unpack(io.BytesIO(data), incoming.folder)
        return incoming.settle()


def test_a_run_is_put_in_place_whole_and_never_over_another(tmp_path: Path) -> None:
    first = arrive(tmp_path, b"one\n")
    assert first == tmp_path / "run1"
    assert arrive(tmp_path, b"one\n") == first  # brought twice
    assert arrive(tmp_path, b"another\n") == tmp_path / "run1-0a"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run1", "run1-0a"]
    with Incoming(tmp_path, "0b") as nothing:
        assert nothing.settle() is None


LOG = """measuring the processor
error: the dataset is damaged:
second line
  try: harness data fetch
"""


@pytest.mark.parametrize(
    ("how", "log", "here", "code", "said"),
    [
        ({"state": "ended", "code": 0}, "", True, 0, None),
        ({"state": "ended", "code": 1}, "", True, 1, None),
        ({"state": "ended", "code": 130}, "", True, 130, None),
        ({"state": "ended", "code": 3}, LOG, False, 3, "the dataset is damaged:\nsecond line"),
        ({"state": "ended", "code": 3}, LOG, True, 3, "what was measured is kept"),
        ({"state": "ended", "code": 1}, "Traceback\nValueError: x\n", False, 1, "| ValueError: x"),
        ({"state": "ended", "code": 0}, "", False, 3, "exit code 0"),
        ({"state": "ended", "code": -9}, "last words\n", True, 3, "killed by SIGKILL"),
        ({"state": "died"}, "last words\n", True, 3, "| last words"),
        ({"state": "gone"}, "", False, 3, "without a word"),
    ],
)
def test_how_a_run_elsewhere_ended(
    tmp_path: Path, how: dict[str, object], log: str, here: bool, code: int, said: str | None
) -> None:
    (tmp_path / "run.json").write_text('{"invocations": [{"finished_at": "then"}]}')
    ended = judge("gpu1", how, log, tmp_path if here else None)
    assert ended.code == code
    if said is None:
        assert ended.error is None
    else:
        assert ended.error is not None
        assert said in ended.error.message


@pytest.mark.parametrize("facts", ['{"invocations": [{"finished_at": null}]}', "", "[]"])
@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_did_not_come_to_its_end_has_failed(
    tmp_path: Path, code: int, facts: str
) -> None:
    (tmp_path / "run.json").write_text(facts)
    log = "error: of a case\nTraceback\nValueError: x\n"
    ended = judge("gpu1", {"state": "ended", "code": code}, log, tmp_path)
    assert (ended.code, ended.folder) == (3, tmp_path)
    assert ended.error is not None
    assert "| ValueError: x" in ended.error.message
    assert "what was measured is kept" in ended.error.message


@pytest.mark.parametrize("code", [130, -15, -2])
def test_what_the_user_has_asked_for_is_no_error(code: int) -> None:
    how = {"state": "ended", "code": code}
    ended = judge("gpu1", how, "", None, asked=True)
    assert (ended.code, ended.error) == (130, None)
    assert judge("gpu1", how, "", None).error is not None
    assert judge("gpu1", {"state": "ended", "code": -9}, "", None, asked=True).error is not None


def test_the_worst_of_several_is_the_exit_code() -> None:
    codes = [ExitCode.OK, ExitCode.CASES_FAILED, ExitCode.MACHINE_LACKS]
    assert worst([Ended("a", code) for code in codes]) == 3
    assert worst([Ended("a", 0)]) == 0
