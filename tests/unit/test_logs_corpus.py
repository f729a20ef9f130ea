"""Labelled logs: the right status for each, by the classifier that the runner uses."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import classify_logs
from harness.model import Exit, Status
from harness.runner.saved_log import SavedLog, judge_log
from tests.conftest import ROOT, cannot_have, lacking

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CORPUS: list[dict[str, Any]] = tomllib.loads(
    (ROOT / "tests" / "fixtures" / "logs" / "corpus.toml").read_text("utf-8")
)["log"]
NAMED = os.environ.get("HARNESS_LOGS_DIR")
REAL = Path(NAMED or ROOT.parent / "shared" / "logs") / "oom"


def judged(text: bytes, code: int, oom_killed: bool = False) -> SavedLog:
    return judge_log(io.BytesIO(text).read, Exit(code=code, oom_killed=oom_killed))


def real_log(version: str) -> bytes:
    """A log that is no part of the project: lacking only where a setting says where it lies."""
    if not REAL.is_dir():
        (lacking if NAMED else cannot_have)("no real logs here (HARNESS_LOGS_DIR)")
    return (REAL / f"tf-{version}.stderr.txt").read_bytes()


@pytest.mark.parametrize("entry", CORPUS, ids=[entry["name"] for entry in CORPUS])
def test_the_status_of_a_labelled_log(entry: dict[str, Any]) -> None:
    verdict = judged(entry["text"].encode(), entry["exit"], entry.get("oom_killed", False)).verdict
    assert (verdict.status.value, verdict.resource) == (entry["status"], entry.get("resource"))


def test_the_corpus_is_large_and_no_two_entries_are_one() -> None:
    assert len(CORPUS) >= 60
    assert len({entry["name"] for entry in CORPUS}) == len(CORPUS)
    assert {entry["from"] for entry in CORPUS} == {"seen", "format"}


@pytest.mark.parametrize("version", ["2.15.0", "2.21.0"])
def test_real_logs_of_a_caught_failure(version: str) -> None:
    """Nine allocations were refused, and each is told by several lines and a dump."""
    text = real_log(version)
    log = judged(text, 0)
    refused = [event for event in log.events if getattr(event, "rule", "") == "bfc-hard"]
    assert log.verdict.status is Status.PRESSURE
    assert log.verdict.reason.startswith(f"an allocator ran short {len(refused)} times")
    assert len(refused) == text.count(b"ran out of memory trying to allocate")
    assert {getattr(event, "requested_bytes", 0) for event in log.events} == {838860800}
    assert judged(text, 1).verdict.status is Status.OOM
    assert "(800.00 MiB asked for)" in judged(text, 1).verdict.reason


@pytest.mark.parametrize("version", ["2.15.0", "2.21.0"])
def test_a_real_log_without_its_failures_is_healthy(version: str) -> None:
    lines = real_log(version).splitlines()
    rest = [line for line in lines if b"ran out of memory" not in line and b"OOM when" not in line]
    assert len(rest) > 300
    assert judged(b"\n".join(rest), 0).events == []
    assert judged(b"\n".join(rest), 1).verdict.status is Status.FAILED


@pytest.mark.parametrize("lines", [lines for lines, _ in classify_logs.TEXTS.values()])
def test_the_texts_of_the_benchmark_say_nothing(lines: tuple[str, ...]) -> None:
    text = b"".join(classify_logs.chunks(lines, 3 * classify_logs.CHUNK))
    assert len(text) == 3 * classify_logs.CHUNK
    assert set(text.splitlines()[1:-1]) <= set("\n".join(lines).encode().splitlines())
    assert classify_logs.classify(lines, 100_000) > 0
