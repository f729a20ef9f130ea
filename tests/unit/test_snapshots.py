"""A whole run on the scripted runtime, word for word: what is told meanwhile, and the reports.

``HARNESS_SNAPSHOTS=write pytest tests/unit/test_snapshots.py`` writes them anew: read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.campaign import attempts, run
from harness.console import Lines
from harness.model import LaunchSpec
from harness.report import FORMATS, PIVOTS, render
from harness.results.reading import Run, read_run
from harness.runtimes.scripted import Script
from tests.unit.runs import completing, failing, infer, prepared, train
from tests.unit.test_logs import HARD, RECOVERABLE

SNAPSHOTS = Path(__file__).parent / "snapshots"
MATRIX = """
axes: {model: [model-a, model-b], dataset: [mnist, synthetic], batch_size: [32, 64]}
defaults: {protocol: smoke, measure: full}
exclude:
- {model: model-b, dataset: synthetic}
include:
- {model: model-b, batch_size: 64, expect: oom, tags: large}
repeats: 3
order: written
dataset_fallback: synthetic
"""


class Machine:
    """Model B runs short of memory, or out of it; the engine is away once; the first is slow."""

    def __init__(self) -> None:
        self.started: dict[str, int] = {}

    def script(self, spec: LaunchSpec) -> Script:
        case = spec.labels["harness.case"]
        number = self.started[case] = self.started.get(case, 0) + 1
        if "model-b" in case and "b64" in case:
            return failing(1, HARD + b"\n", b"ResourceExhaustedError\n")
        if "model-b" in case and number == 2:
            return Script(refuses="the engine does not answer", transient=True)
        short = (RECOVERABLE + b"\n",) if "model-b" in case else ()
        total = 100.0 + number + (40.0 if number == 1 else 0.0)
        return completing(*short, train=train(total), infer=infer(5.0 + number))


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[Run, str]:
    monkeypatch.setattr(attempts, "FIRST_WAIT_S", 0.01)
    made, _ = prepared(MATRIX, Machine().script, tmp_path)
    outcome = run(made, Lines(lambda: 0.0).on_event)
    assert outcome.as_expected
    return read_run(outcome.folder), capsys.readouterr().err


def same(name: str, text: str, kept: Run) -> None:
    """`text` is the snapshot, but for where and when the run was."""
    plain = text.replace(str(kept.path), "RESULTS/RUN").replace(kept.path.name, "RUN")
    path = SNAPSHOTS / name
    if os.environ.get("HARNESS_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(plain + "\n", encoding="utf-8")
    assert plain + "\n" == path.read_text("utf-8")


def test_what_is_told_meanwhile(told: tuple[Run, str]) -> None:
    kept, text = told
    same("progress.txt", text.rstrip("\n"), kept)


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_the_reports(told: tuple[Run, str], form: str) -> None:
    kept, _ = told
    assert form in FORMATS
    same(f"report-{form}.txt", render([kept], form), kept)


@pytest.mark.parametrize("value", ["status", "total_execution_s"])
def test_tables_of_ones_own(told: tuple[Run, str], value: str) -> None:
    kept, _ = told
    text = PIVOTS["table"]([kept], value, ["dataset"], ["model", "batch_size"])
    same(f"pivot-{value}.txt", text, kept)
