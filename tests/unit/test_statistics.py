"""What repeats say together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.statistics import METHOD, WITHIN_RUN, scores, summarise

seconds = st.floats(0.01, 1e6, allow_nan=False)


def test_one_value_has_no_interval_and_says_so() -> None:
    found = summarise([3.0])
    assert (found.interval, found.method, found.variation) == (None, WITHIN_RUN, None)


def test_the_interval_is_students() -> None:
    found = summarise([10.0, 12.0, 11.0])
    assert found.interval is not None
    # t(0.975, 2) = 4.3027, standard deviation 1
    assert found.interval[0] == pytest.approx(11.0 - 4.3027 / math.sqrt(3), abs=1e-4)
    assert found.method == METHOD


def test_outliers_go_by_the_median_deviation() -> None:
    assert summarise([10.0, 10.1, 9.9, 10.05, 20.0]).outliers == (4,)
    assert summarise([10.0, 10.1, 9.9, 10.05, 10.2]).outliers == ()
    assert scores([1.0, 1.0, 1.0, 2.0]) == [0.0, 0.0, 0.0, math.inf]


@pytest.mark.parametrize(
    ("values", "slow"),
    [
        ([20.0, 10.0, 10.1, 9.9], 20.0),
        ([10.0, 10.0, 10.1, 20.0], None),
        ([5.0, 10.0, 10.1, 9.9], None),
        ([20.0, 10.0, 10.1], None),
    ],
    ids=["slow", "the last one", "a fast first", "too few to tell"],
)
def test_only_a_first_that_is_slower_than_the_others_is_told_apart(
    values: list[float], slow: float | None
) -> None:
    assert summarise(values).slow_first == slow


def test_nothing_cannot_be_summarised() -> None:
    with pytest.raises(ValueError, match="no value"):
        summarise([])


@given(st.lists(seconds, min_size=1, max_size=40))
def test_the_figures_are_where_they_belong(values: list[float]) -> None:
    found = summarise(values)
    slack = 1e-9 * max(values)
    assert found.values == tuple(values)
    assert found.low <= found.median <= found.high
    assert found.low - slack <= found.mean <= found.high + slack
    if found.interval is not None:
        assert found.interval[0] <= found.mean <= found.interval[1]
    assert all(0 <= place < len(values) for place in found.outliers)


@given(st.lists(seconds, min_size=2, max_size=20), st.floats(0.1, 10.0))
def test_another_unit_changes_no_judgement(values: list[float], factor: float) -> None:
    one, other = summarise(values), summarise([value * factor for value in values])
    assert other.median == pytest.approx(one.median * factor)
    assert other.variation == pytest.approx(one.variation, abs=1e-9)
