"""Events as lines: every kind comes back as it went."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from harness import events
from harness.errors import InputError
from harness.model import LaunchSpec, MemoryEvent, MemoryKind, Record, ResourceEvent
from harness.remote import EventFile, decode, encode
from harness.remote.naming import named
from harness.runtimes.scripted import Script
from tests.unit.runs import completing, prepared

MATRIX = """
axes: {model: [model-a], dataset: [synthetic]}
defaults: {protocol: smoke}
"""


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    from harness.campaign import run

    def play(spec: LaunchSpec) -> Script:
        return completing()

    ready, _ = prepared(MATRIX, play, tmp_path_factory.mktemp("results"))
    return run(ready, lambda event: None).records[0]


@pytest.fixture
def every(record: Record) -> list[events.Event]:
    memory = MemoryEvent(MemoryKind.HARD, "bfc", "ran out of memory", "GPU_0_bfc", 1 << 30)
    return [
        events.CaseStarted("a", 1, 2),
        events.PhaseStarted("a", "train"),
        events.Progress("a", "train", None, 2, 3, 4, 5.5, sampling=True),
        events.MemoryEventSeen("a", memory),
        events.MemoryEventSeen(
            "a", MemoryEvent(MemoryKind.HARD, "r", "l", shape=(1, 2), op="conv", severity="W")
        ),
        events.ResourceEventSeen("a", ResourceEvent("disk", "enospc", "No space left", True, 7)),
        events.CaseFinished(record),
        events.Retrying(record, 2.5),
        events.Note("two\nlines, “quoted”"),
    ]


def test_every_kind_comes_back_as_it_went(every: list[events.Event]) -> None:
    assert {type(event) for event in every} == set(get_args(events.Event))
    for event in every:
        line = encode(event)
        assert "\n" not in line
        assert decode(line) == event
        assert decode(line.encode()) == event


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "null", '{"event": "Note"}', '{"event": "Later", "value": {}}', b"\xff"],
)
def test_a_line_that_says_nothing_is_passed_over(line: str | bytes) -> None:
    assert decode(line) is None


def test_a_file_holds_them_in_order_and_thins_out_progress(
    tmp_path: Path, every: list[events.Event]
) -> None:
    moment = 0.0
    with EventFile(tmp_path / "events", lambda: moment) as file:
        for event in every:
            file.on_event(event)
        for _ in range(20):
            moment += 0.25
            file.on_event(events.Progress("a", "train", 1, 1, 1, 2, None))
    found = [decode(line) for line in (tmp_path / "events").read_bytes().splitlines()]
    assert found[: len(every)] == every
    assert len(found) - len(every) == 5  # one a second


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        EventFile(tmp_path / "no" / "events")


def test_a_full_disk_costs_the_events_and_not_the_run() -> None:
    with EventFile(Path("/dev/full")) as file:
        file.note("lost")


def test_events_of_several_machines_say_whose_they_are(every: list[events.Event]) -> None:
    for event in (named(event, "gpu1") for event in every):
        match event:
            case events.Note():
                assert event.text.startswith("gpu1: ")
            case events.CaseFinished() | events.Retrying():
                assert event.record.case_id.startswith("gpu1 model-a")
            case _:
                assert event.case_id == "gpu1 a"
