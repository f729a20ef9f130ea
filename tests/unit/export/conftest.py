"""A matrix to export, and the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.export.commands import MATRIX, Command, exporting


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return exporting(monkeypatch, capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MATRIX)
    return path
