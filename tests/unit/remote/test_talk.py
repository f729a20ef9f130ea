"""Patience with a connection that breaks: what counts as a sign of life."""

from __future__ import annotations

import io
import time

import pytest

from harness.errors import MachineError
from harness.remote import parse_address
from harness.remote.talk import Talk
from harness.remote.trouble import LostConnectionError
from tests.unit.remote.played import Played


def talk_with(machine: Played, patience_s: float) -> Talk:
    address = parse_address("ssh://gpu1")
    return Talk(address, lambda event: None, patience_s=patience_s, state=machine.state)


def test_silence_begins_with_the_first_try_that_failed(played: Played) -> None:
    tries = 0

    def step() -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            time.sleep(0.3)  # a long upload, and then
            raise LostConnectionError("reset")
        return "done"

    assert talk_with(played, 0.2).patiently(step) == "done"
    assert tries == 2


def test_a_machine_that_is_heard_in_between_is_not_silent(played: Played) -> None:
    talk, tries = talk_with(played, 0.2), 0

    def step() -> str:
        nonlocal tries
        tries += 1
        if tries < 4:
            time.sleep(0.15)
            talk.heard()
            raise LostConnectionError("reset")
        return "done"

    assert talk.patiently(step) == "done"


def test_patience_ends(played: Played) -> None:
    def step() -> None:
        raise LostConnectionError("reset")

    with pytest.raises(MachineError, match="what has begun there goes on") as caught:
        talk_with(played, 0.1).patiently(step)
    assert "harness attach abcd1234" in caught.value.next_step


@pytest.mark.parametrize(("size", "heard"), [(10, 0), (1 << 20, 0), ((3 << 20) + 1, 3)])
def test_bytes_on_their_way_are_a_sign_of_life(
    played: Played, monkeypatch: pytest.MonkeyPatch, size: int, heard: int
) -> None:
    talk, times = talk_with(played, 1.0), 0

    def count(_: Talk) -> None:
        nonlocal times
        times += 1

    monkeypatch.setattr(Talk, "heard", count)
    file = talk.watched(io.BytesIO(bytes(size)))
    assert sum(len(piece) for piece in iter(lambda: file.read(1 << 20), b"")) == size
    assert times == heard
