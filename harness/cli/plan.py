"""``harness plan``: what a matrix would do here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.run import machine_request
from harness.errors import ExitCode, InputError


def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A matrix file, see matrices/.")],
    form: Annotated[
        str, typer.Option("--format", metavar="table|ids|json", help="How to show it.")
    ] = "table",
    gpu: options.Gpu = "auto",
    runtime: options.Runtime = "auto",
    python: options.Python = None,
    data_dir: options.DataDir = None,
    results: options.Results = options.DEFAULT_RESULTS,
    offline: options.Offline = False,
    only: options.Only = None,
    skip: options.Skip = None,
) -> None:
    """Show what a matrix file would do here: cases, keys, images, data, time, space.

    Starts, fetches and builds nothing. Exit code 3 where a run would refuse something.
    """
    from harness.campaign import preview
    from harness.matrix import load, parse_selection
    from harness.matrix.names import known_name
    from harness.report.plan import FORMATS

    try:
        known_name("format", form, FORMATS)
    except ValueError as error:
        raise InputError(str(error)) from error
    matrix, _text = load(file)
    request = replace(
        machine_request(gpu, runtime, python, data_dir, results, None, None, offline),
        selection=parse_selection(only or (), skip or ()),
    )
    found = preview(matrix, request)
    typer.echo(FORMATS[form](found))
    raise typer.Exit(ExitCode.MACHINE_LACKS if found.refused else ExitCode.OK)
