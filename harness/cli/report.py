"""``harness report``: show runs again."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Annotated

import typer

from harness.cli import options
from harness.errors import InputError


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="Ids, folders, or latest.", show_default="latest"),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", metavar="table|markdown|csv|json|junit", help="How to show it."),
    ] = "table",
    rows: Annotated[
        str | None,
        typer.Option(metavar="FIELD[,...]", help="A table of your own: what its rows are."),
    ] = None,
    cols: Annotated[
        str | None, typer.Option(metavar="FIELD[,...]", help="The same for its columns.")
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What its cells show: total_execution_s, total_inference_s, images_per_s, "
            "peak_device_bytes, peak_host_bytes or status.",
        ),
    ] = None,
    only: options.Only = None,
    skip: options.Skip = None,
    results: options.Results = options.DEFAULT_RESULTS,
) -> None:
    """Show the results of one run, or of several beside each other."""
    from harness.analysis.pivot import VALUES
    from harness.matrix import parse_selection
    from harness.report import FORMATS, PIVOTS, render
    from harness.report.groups import selected
    from harness.results.reading import find_run, read_run

    own = any(option is not None for option in (rows, cols, value))
    _known("format", form, PIVOTS if own else FORMATS)
    wanted = value or "total_execution_s"
    _known("value", wanted, VALUES)
    row_fields, column_fields = _fields(rows or "dataset"), _fields(cols or "model")
    selection = parse_selection(only or (), skip or ())
    paths = dict.fromkeys(find_run(name, results).resolve() for name in runs or ["latest"])
    chosen = [selected(read_run(path), selection) for path in paths]
    gc.freeze()  # the records stay to the end: no need to look for cycles among them
    if own:
        typer.echo(PIVOTS[form](chosen, wanted, row_fields, column_fields))
    else:
        typer.echo(render(chosen, form))


def _fields(text: str) -> list[str]:
    """The names in ``model,batch_size``. Raises InputError."""
    from harness.analysis.pivot import FIELDS

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        _known("field", name, FIELDS)
    return list(dict.fromkeys(names)) or list(FIELDS[:1])


def _known(kind: str, word: str, known: Iterable[str]) -> None:
    from harness.matrix.names import known_name

    try:
        known_name(kind, word, known)
    except ValueError as error:
        raise InputError(str(error)) from error
