"""``harness report``: show runs again."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.prices import priced
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
            "peak_device_bytes, peak_device_used_bytes, peak_device_processes_bytes, "
            "peak_host_bytes, peak_cgroup_bytes, peak_processes_bytes, status or resource.",
        ),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[RUN[@MACHINE]=]PRICE",
            help="What a run's machine costs an hour, such as latest=1.29 or RUN=1.29EUR, whatever "
            "the run says itself; shown as table, markdown and json. Repeatable.",
            show_default=False,
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
    row_fields, column_fields = _fields(rows, cols)
    selection = parse_selection(only or (), skip or ())
    if own and price:
        raise InputError(
            "a table of your own shows no cost", "leave out --price, or --rows, --cols and --value"
        )
    paths = dict.fromkeys(find_run(name, results).resolve() for name in runs or ["latest"])
    parts = [part for path in paths for part in read_run(path).by_machine()]
    chosen = selected(priced(parts, price or (), results), selection)
    gc.disable()  # all that is made from here on stays to the end, which is near
    if own:
        typer.echo(PIVOTS[form](chosen, wanted, row_fields, column_fields))
    else:
        typer.echo(render(chosen, form))


def _fields(rows: str | None, cols: str | None) -> tuple[list[str], list[str]]:
    """What rows and columns are; a side that is not given gets the first field that is left.

    Raises InputError.
    """
    from harness.analysis.pivot import FIELDS

    given = {"--rows": rows, "--cols": cols}
    named = {option: _names(option, text) for option, text in given.items() if text is not None}
    taken = [name for names in named.values() for name in names]
    for name in taken:
        if taken.count(name) > 1:
            raise InputError(f"--rows and --cols name {name!r} twice", "take it out of one of them")
    left = [name for name in FIELDS if name not in taken]
    row_fields = named.get("--rows") or [left.pop(0)]
    return row_fields, named.get("--cols") or left[:1]


def _names(option: str, text: str) -> list[str]:
    """The names in ``model,batch_size``. Raises InputError."""
    from harness.analysis.pivot import FIELDS

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        _known("field", name, FIELDS)
    if not names:
        raise InputError(f"{option} names no field", f"known: {', '.join(FIELDS)}")
    return names


def _known(kind: str, word: str, known: Iterable[str]) -> None:
    from harness.matrix.names import known_name

    try:
        known_name(kind, word, known)
    except ValueError as error:
        raise InputError(str(error)) from error
