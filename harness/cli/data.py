"""``harness data``: the datasets on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options
from harness.errors import ExitCode, HarnessError, InputError

if TYPE_CHECKING:
    from harness.catalog import DatasetEntry

app = typer.Typer(
    help="The datasets: fetch them, which are here, and whether they are what was published."
)


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
    from harness.plan import DataFolders, locate

    folders = DataFolders.of(data_dir)
    asked = _known(names)
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


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Default: all that are published.", show_default=False
        ),
    ] = None,
    data_dir: options.DataDir = None,
) -> None:
    """Download what is missing or damaged, from the first mirror that has it.

    Each file appears only when its checksum is right; an interrupted download goes on where it
    stopped. HARNESS_MIRROR names a mirror of your own, asked first (files at
    <mirror>/<folder>/<file>). Exit 3 where no mirror has a file.
    """
    from harness.catalog import datasets
    from harness.fetch import Terms, display, fetch_missing
    from harness.plan import DataFolders

    asked = _known(names) or [name for name, entry in datasets().items() if entry.files]
    folders = DataFolders.of(data_dir).folders
    targets: dict[Path, list[str]] = {}
    for name in dict.fromkeys(asked):
        entry = datasets()[name]
        if not entry.files:
            typer.echo(f"{name}: generated, nothing to fetch")
        else:
            targets.setdefault(_where_to(entry, data_dir, folders), []).append(name)
    new: set[Path] = set()
    with display() as shown:
        for folder, wanted in targets.items():
            terms = Terms(replace_damaged=True)
            new.update(fetch_missing(wanted, folder, shown.note, shown.on_progress, terms).files)
    for folder, wanted in targets.items():
        for name in wanted:
            entry = datasets()[name]
            here = folder / (entry.folder or "")
            fetched = any(here / file in new for file in entry.files)
            typer.echo(f"{name}: {'fetched' if fetched else 'already there'} ({here})")


def _where_to(entry: DatasetEntry, data_dir: Path | None, folders: Sequence[Path]) -> Path:
    """The folder that was named, else the one that holds the dataset, else one to write to."""
    from harness.fetch import writable_folder
    from harness.plan import DataFolders

    holding = [folder for folder in folders if DataFolders((folder,)).find(entry)]
    if data_dir is None and holding:
        return holding[0]
    return writable_folder(data_dir, folders)


def _known(names: list[str] | None) -> list[str]:
    """The names themselves. Raises InputError where one is unknown."""
    from harness.catalog import datasets
    from harness.matrix.names import known_name

    try:
        return [known_name("dataset", name, datasets()) for name in names or ()]
    except ValueError as error:
        raise InputError(str(error)) from error
