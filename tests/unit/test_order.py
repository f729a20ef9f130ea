"""Which tasks begin first where several are measured at once."""

from __future__ import annotations

from pathlib import Path

from harness.campaign.order import longest_first
from harness.executors import Task
from tests.unit.runs import completing, prepared

MATRIX = """
axes:
  model: [model-a, model-b]
  dataset: [synthetic]
  measure: [quick, full]
  batch_size: [8, 16]
defaults: {protocol: smoke}
"""


def tasks(folder: Path) -> dict[str, Task]:
    made, _ = prepared(MATRIX, lambda _spec: completing(), folder)
    names = {case.id: f"{case.case.model[-1]}{case.case.batch_size}" for case in made.planned}
    return {f"{names[c.id]} {c.case.measure}": Task(c, 1) for c in made.planned}


def in_order(folder: Path, took: dict[str, float]) -> list[str]:
    named = tasks(folder)
    before = {(named[n].case.key, named[n].case.case.measure): s for n, s in took.items()}
    found = longest_first(named.values(), before)
    return [name for task in found for name, other in named.items() if other is task]


def test_without_any_history_the_most_work_comes_first(tmp_path: Path) -> None:
    order = in_order(tmp_path, {})
    assert [name[0] + name[-5:] for name in order] == [*["b full"] * 2, *["a full"] * 2] + [
        name[0] + "quick" for name in order[4:]
    ]


def test_what_took_longest_comes_first_behind_what_nobody_has_measured(tmp_path: Path) -> None:
    took = {"a8 full": 9.0, "a16 full": 90.0, "b8 quick": 30.0, "b16 full": 10.0}
    order = in_order(tmp_path, took)
    assert order[0] == "b8 full"
    assert order[-4:] == ["a16 full", "b8 quick", "b16 full", "a8 full"]
