"""Event lines survive the way from the workload to the host."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.workload import contract

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
events = st.dictionaries(
    st.text(), st.recursive(scalars, lambda inner: st.dictionaries(st.text(), inner)), max_size=6
)


@given(event=events, name=st.text())
def test_an_event_comes_back_as_it_was(event: dict[str, object], name: str) -> None:
    event = {**event, "event": name}
    line = contract.event_line(event)
    assert "\n" not in line
    assert "\r" not in line
    assert contract.parse_event(line) == event
    assert contract.parse_event(line + "\n") == event


@given(line=st.text())
def test_other_output_is_no_event(line: str) -> None:
    assert contract.parse_event("x" + contract.EVENT_PREFIX + line) is None
    assert contract.parse_event(line) is None


def test_torn_and_foreign_json_is_no_event() -> None:
    for rest in ("", "{", "[]", "3", "{}", '{"event":3}', '{"event":"phase"'):
        assert contract.parse_event(contract.EVENT_PREFIX + rest) is None
