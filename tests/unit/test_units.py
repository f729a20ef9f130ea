import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.units import human_bytes, human_seconds, named, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("512m", 512 << 20), ("6g", 6 << 30), ("1.5 GiB", 3 << 29), ("100", 100), (2048, 2048)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "5 parsecs", "1e3", "m", True])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [(90, 90.0), ("90s", 90.0), ("30m", 1800.0), ("2h", 7200.0)]
)
def test_durations(text: str | int, seconds: float) -> None:
    assert parse_duration(text) == seconds


@given(st.text())
def test_any_text_is_a_size_or_refused(text: str) -> None:
    try:
        assert parse_size(text) >= 0
    except ValueError as error:
        assert "no size" in str(error)


def test_human_words() -> None:
    assert human_bytes(3672000000) == "3.42 GiB"
    assert human_bytes(None) == "?"
    assert human_bytes(5) == "5 B"
    assert [human_seconds(s) for s in (45, 200, 7500)] == ["45 s", "3 min 20 s", "2 h 05 min"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b", "a"], "a, b"),
        (["a", "b", "c", "d"], "a, b and 2 more"),
    ],
)
def test_names_each_once_and_no_more_than_so_many(names: list[str], told: str) -> None:
    assert named(names, 2) == told
