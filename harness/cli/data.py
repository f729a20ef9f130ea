"""``harness data``: the datasets on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import options
from harness.errors import ExitCode, HarnessError, InputError

app = typer.Typer(help="The datasets: which are here, and whether they are what was published.")


@app.command("list")
def list_(data_dir: options.DataDir = None) -> None:
    """List the datasets and where each was found."""
    from tabulate import tabulate

    from harness.catalog import datasets
    from harness.plan import DataFolders

    folders = DataFolders.of(data_dir)
    rows = []
    for name, entry in datasets().items():
        where = "generated" if not entry.files else str(folders.find(entry) or "not here")
        rows.append([name, entry.train.count, entry.test.count, where, entry.about])
    typer.echo(tabulate(rows, headers=["dataset", "train", "test", "where", "about"]))


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Default: all that are here.", show_default=False),
    ] = None,
    data_dir: options.DataDir = None,
) -> None:
    """Compare the files with the published checksums. Exit 3 where one is missing or damaged."""
    from harness.catalog import datasets
    from harness.matrix.names import known_name
    from harness.plan import DataFolders, locate

    folders = DataFolders.of(data_dir)
    try:
        asked = [known_name("dataset", name, datasets()) for name in names or ()]
    except ValueError as error:
        raise InputError(str(error)) from error
    here = [name for name, entry in datasets().items() if entry.files and folders.find(entry)]
    chosen = asked or here
    if not chosen:
        typer.echo("no dataset is here; look with harness data list")
    damaged = False
    for name in chosen:
        try:
            found = locate(name, folders, fallback=None)
            typer.echo(f"{name}: ok ({found.folder or 'generated'})")
        except HarnessError as error:
            damaged = True
            typer.echo(f"{name}: {error.message}")
    if damaged:
        raise typer.Exit(ExitCode.MACHINE_LACKS)
