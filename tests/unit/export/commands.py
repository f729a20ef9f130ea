"""``harness export`` as a user starts it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from harness import cli

MATRIX = """\
# A matrix of the tests': 'quotes', "more" and $HOME stay as they are.
axes: {model: [model-a, model-b], dataset: [mnist]}
defaults: {protocol: smoke, precision: float32}
"""


class Said(NamedTuple):
    """How the command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


def exporting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*arguments: str | Path) -> Said:
        monkeypatch.setattr("sys.argv", ["harness", "export", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            assert ended.code is None or isinstance(ended.code, int)
            code = ended.code or 0
        return Said(code, *capsys.readouterr())

    return command


def documents(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))
