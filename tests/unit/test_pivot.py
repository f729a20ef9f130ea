"""Where cases stand in a table."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.pivot import FIELDS, Group, lay_out
from harness.model import Case, Status
from tests.unit.comparing import case, repeats

AXES: dict[str, list[Any]] = {
    "dataset": ["mnist", "fashion-mnist"],
    "model": ["model-a", "model-b"],
    "batch_size": [32, 64],
    "jit": [False, True],
    "overrides": [{}, {"env": {"TF_XLA_FLAGS": "x"}}],
}
EVERY = [case(**dict(zip(AXES, values, strict=True))) for values in product(*AXES.values())]
SOME = st.lists(st.sampled_from(EVERY), min_size=1, unique_by=lambda one: one.id)
NAMES = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3, unique=True)


@given(st.lists(SOME, min_size=1, max_size=3), NAMES, NAMES)
def test_every_case_has_a_cell_of_its_own(
    machines: list[list[Case]], rows: list[str], columns: list[str]
) -> None:
    several = len(machines) > 1
    groups = [
        Group(
            f"machine {n}" if several else "",
            tuple(cases),
            tuple(r for c in cases for r in repeats(c, float(EVERY.index(c) + 1))),
        )
        for n, cases in enumerate(machines)
    ]
    table = lay_out(groups, rows, [name for name in columns if name not in rows]).table(
        "total_execution_s"
    )
    found = [cell.value for line in table.cells for cell in line if cell is not None]
    wanted = [float(EVERY.index(c) + 1) for cases in machines for c in cases]
    assert sorted(v for v in found if v is not None) == sorted(wanted)
    assert len(set(table.rows)) == len(table.rows)


@given(st.lists(st.sampled_from([*Status, 10.0, 20.0, 30.0]), min_size=1, max_size=8))
def test_a_cell_counts_every_repeat_once_and_no_failure_as_a_figure(
    ended: list[Status | float],
) -> None:
    one = EVERY[0]
    figures = [end for end in ended if not isinstance(end, Status)]
    group = Group("", (one,), tuple(repeats(one, *ended)))
    ((cell,),) = lay_out([group], ["dataset"], ["model"]).table("total_execution_s").cells
    assert cell is not None
    assert cell.completed + len(cell.failed) == len(ended)
    assert all(not status.completed for status in cell.failed)
    assert cell.value in ({None} if not figures else {v / 2 for v in range(20, 61)})
