"""A run as text: for a terminal, a document, a spreadsheet or a program."""

from __future__ import annotations

from collections.abc import Callable

from harness.report import data, text
from harness.results.reading import Run

FORMATS: dict[str, Callable[[Run], str]] = {
    "table": text.plain,
    "markdown": text.markdown,
    "csv": data.csv,
    "json": data.json,
}


def render(run: Run, form: str) -> str:
    """The run in the format `form`, one of FORMATS; ends without a newline."""
    return FORMATS[form](run)
