"""A machine that is played by a shell here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.remote import talk
from harness.remote.ssh import Connection
from tests.unit.remote.played import Played


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    machine = Played(tmp_path)
    monkeypatch.setattr(Connection, "line", lambda _, command: machine.line(command))
    monkeypatch.setattr(talk, "WAITS_S", (0.01,))
    yield machine
    machine.wipe()
