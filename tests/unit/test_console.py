from __future__ import annotations

from pathlib import Path

import pytest

from harness.campaign import run
from harness.console import Lines, Live
from harness.events import Event, Progress
from harness.runtimes.scripted import Script
from tests.unit.runs import completing, failing, prepared
from tests.unit.test_logs import HARD, RECOVERABLE

TWO = "axes: {model: [model-a, model-b], dataset: [synthetic]}\ndefaults: {protocol: seed}\n"


def _scripts() -> list[Script]:
    return [completing(RECOVERABLE + b"\n"), failing(1, HARD + b"\n")]


def test_lines_for_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripts = iter(_scripts())
    made, _ = prepared(TWO, lambda spec: next(scripts), tmp_path)
    ticks = iter(range(0, 10_000, 11))
    with Lines(lambda: float(next(ticks))) as shown:
        run(made, shown.on_event)
    text = capsys.readouterr()
    assert text.out == ""
    assert text.err.splitlines() == [
        "case 1/2: model-a_synthetic_tensorflow_seed_b32_float32_full",
        "  memory: GPU_0_bfc went on without 3.42 GiB",
        "  train",
        "  train epoch 1/2, 640 images/s, 33 s left",
        "  pressure, total execution 100.0 s, total inference 5.0 s: an allocator ran short once, "
        "at most: " + RECOVERABLE.decode() + " (3.42 GiB asked for)",
        "case 2/2: model-b_synthetic_tensorflow_seed_b12_float32_full",
        "  memory: bfc_cpu_allocator_for_gpu could not get 800.00 MiB",
        "  oom: " + HARD.decode() + " (800.00 MiB asked for)",
    ]


def test_progress_lines_come_ten_seconds_apart(capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    shown = Lines(lambda: now)
    for done in range(1, 61):
        now += 1.0
        shown.on_event(Progress("c", "train", 1, 1, done, 60, None))
    lines = capsys.readouterr().err.splitlines()
    assert 5 <= len(lines) <= 7
    assert lines[-1].startswith("  train step ")


def test_the_live_rows_show_each_case_and_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    scripts = iter(_scripts())
    made, _ = prepared(TWO, lambda spec: next(scripts), tmp_path)
    seen: list[Event] = []
    with Live() as shown:

        def both(event: Event) -> None:
            seen.append(event)
            shown.on_event(event)
            shown._rows.refresh()

        run(made, both)
    text = capsys.readouterr().err
    assert "1/2 model-a_synthetic" in text
    assert "epoch 1/2" in text
    assert "640 images/s" in text
    assert "went on without 3.42 GiB" in text
    assert "total execution 100.0 s" in text
