"""``harness images pin`` and ``verify``: digests from the registries, and what is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options
from harness.cli.engines import engine_named
from harness.errors import ExitCode

if TYPE_CHECKING:
    from harness.images.pin import Answer

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="Images of the catalog. Default: all of them."),
]


def pin(
    names: Names = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and write nothing.")
    ] = False,
    runtime: options.Engine = "auto",
) -> None:
    """Ask registries for digests, with Docker's credentials, and write them into the catalog.

    An image that is built here is pinned by its base. The shipped catalog is rewritten, or the file
    named by HARNESS_IMAGES for what stands in it.
    """
    from harness.images.pin import ask, check_writable, served, write
    from harness.images.registry import require_asking

    entries = served(names or ())
    if not dry_run:
        check_writable(entries)
    engine = engine_named(runtime)
    require_asking(engine)
    answers = ask(engine, entries)
    if not dry_run:
        write(answers)
    for answer in answers:
        _tell(answer, dry_run)
    failed = sum(answer.error is not None for answer in answers)
    if failed:
        some = ExitCode.CASES_FAILED
        raise typer.Exit(ExitCode.MACHINE_LACKS if failed == len(answers) else some)


def _tell(answer: Answer, dry_run: bool) -> None:
    name, before = answer.place.name, answer.entry.digest or "unpinned"
    if answer.error is not None:
        typer.echo(f"error: {name} stays {before}: {answer.error.message}", err=True)
        typer.echo(f"  try: {answer.error.next_step}", err=True)
    elif answer.changed:
        where = "not written" if dry_run else answer.place.file
        typer.echo(f"{name}: {before} -> {answer.digest} ({where})")
    else:
        typer.echo(f"{name}: unchanged, {before}")


def verify(names: Names = None, runtime: options.Engine = "auto") -> None:
    """Compare the images of this machine with the catalog; exit 1 where one differs.

    Images that are named must be here; without a name, one that is missing is only told.
    """
    from tabulate import tabulate

    from harness.images.verify import verify as compare

    found = compare(engine_named(runtime), names or ())
    rows = [[image.name, image.state, image.detail] for image in found]
    typer.echo(tabulate(rows, headers=["image", "state", "detail"]))
    if any(image.differs for image in found):
        raise typer.Exit(ExitCode.CASES_FAILED)
