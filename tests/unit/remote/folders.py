"""Folders that look like runs, as far as bringing them is concerned."""

from __future__ import annotations

import json
from pathlib import Path


def a_run(results: Path) -> Path:
    """A run without attempts."""
    run = results / "run"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    return run


def add_attempt(run: Path, number: int) -> Path:
    """A finished attempt, in its folder and in the journal."""
    names = {"case_id": f"case-ä{number}", "repeat": 2, "attempt": 1}
    attempt = run / "cases" / str(names["case_id"]) / "r2" / "a1"
    attempt.mkdir(parents=True)
    (attempt / "log.txt").write_bytes(b"bytes \xff\x00 of any kind\n" * number)
    (attempt / "record.json").write_text(json.dumps(names))
    with (run / "records.jsonl").open("a") as file:
        file.write(json.dumps({**names, "reason": "\u2028\x85"}, ensure_ascii=False) + "\n")
    return attempt
