"""Runs as text: for a terminal, a document, a spreadsheet, a program or a CI system."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.report import data, junit, text
from harness.results.reading import Run

FORMATS: dict[str, Callable[[Sequence[Run]], str]] = {
    "table": text.plain,
    "markdown": text.markdown,
    "csv": data.csv,
    "json": data.json,
    "junit": junit.junit,
}

PIVOTS: dict[str, Callable[[Sequence[Run], str, Sequence[str], Sequence[str]], str]] = {
    "table": text.plain_pivot,
    "markdown": text.markdown_pivot,
    "csv": data.csv_pivot,
    "json": data.json_pivot,
}
"""Formats of a table of the user's own: runs, value, fields of the rows and of the columns."""


def render(runs: Sequence[Run], form: str) -> str:
    """The runs in the format `form`, one of FORMATS; ends without a newline."""
    return FORMATS[form](runs)
