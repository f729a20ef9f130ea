"""``harness report``: show a run again."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import options
from harness.errors import InputError


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="An id, a folder, or latest.")
    ] = "latest",
    form: Annotated[
        str, typer.Option("--format", metavar="table|markdown|csv|json", help="How to show it.")
    ] = "table",
    results: options.Results = options.DEFAULT_RESULTS,
) -> None:
    """Show the results of a run."""
    from harness.matrix.names import known_name
    from harness.report import FORMATS, render
    from harness.results.reading import find_run, read_run

    try:
        known_name("format", form, FORMATS)
    except ValueError as error:
        raise InputError(str(error)) from error
    typer.echo(render(read_run(find_run(run, results)), form))
