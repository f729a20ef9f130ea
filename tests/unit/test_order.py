"""The order of repeats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.matrix import in_order
from harness.matrix.order import ORDERS


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("written", [(1, "a"), (2, "a"), (1, "b"), (2, "b")]),
        ("interleaved", [(1, "a"), (1, "b"), (2, "a"), (2, "b")]),
    ],
)
def test_repeats_follow_each_other_or_are_spread(
    order: str, expected: list[tuple[int, str]]
) -> None:
    assert in_order("ab", 2, order) == expected


@given(st.integers(0, 30), st.integers(1, 5), st.sampled_from(ORDERS), st.integers())
def test_every_order_has_each_repeat_of_each_case_once_and_the_same_again(
    cases: int, repeats: int, order: str, seed: int
) -> None:
    found = in_order(range(cases), repeats, order, seed)
    assert sorted(found) == sorted((r, c) for r in range(1, repeats + 1) for c in range(cases))
    assert found == in_order(range(cases), repeats, order, seed)


def test_another_seed_is_another_order() -> None:
    assert in_order(range(30), 3, "shuffled", 1) != in_order(range(30), 3, "shuffled", 2)
