"""``harness images``: the images on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import image_check, image_pins, options
from harness.cli.engines import engine_named
from harness.errors import InputError

app = typer.Typer(help="The images that cases run in.")


@app.command("list")
def list_(runtime: options.Engine = "auto") -> None:
    """List the images of the catalog, and which of them are here."""
    from tabulate import tabulate

    from harness.catalog import images
    from harness.errors import NoEngineError
    from harness.images import find

    try:
        engine = engine_named(runtime)
    except NoEngineError:
        if runtime != "auto":
            raise
        engine = None
    rows = []
    for name, entry in images().items():
        here = find(engine, entry) if engine is not None else None
        digest = here.identity.digest if here else entry.digest
        if engine is None:
            state = "no engine"
        elif here is not None:
            state = "here"
        else:
            state = "to be built" if entry.build else "to be pulled"
        unknown = "" if entry.build else "unpinned"
        rows.append([name, state, entry.reference, (digest or unknown)[:19], entry.about])
    typer.echo(tabulate(rows, headers=["image", "state", "reference", "digest", "about"]))


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="An image that is built, such as cpu.")],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            help="Another base image. Default: HARNESS_BASE_IMAGE, or the pinned one.",
            show_default=False,
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            help="Network of the build. Default: HARNESS_BUILD_NETWORK, or Docker's own.",
            show_default=False,
        ),
    ] = None,
    runtime: options.Engine = "auto",
) -> None:
    """Build an image from the project's docker/ folder."""
    from harness.catalog import images
    from harness.images import build as build_image
    from harness.images import find
    from harness.images.build import BuildSettings
    from harness.matrix.names import known_name

    built_here = {key: entry for key, entry in images().items() if entry.build is not None}
    try:
        entry = built_here[known_name("image to build", name, built_here)]
    except ValueError as error:
        raise InputError(str(error)) from error
    engine = engine_named(runtime)
    given = BuildSettings.from_environment()
    settings = BuildSettings(base or given.base, network or given.network)
    build_image(engine, name, entry, lambda line: typer.echo(line, err=True), settings)
    here = find(engine, entry)
    typer.echo(f"{name}: {entry.reference} {here.id if here else ''}")


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Images of the catalog.")],
    runtime: options.Engine = "auto",
) -> None:
    """Pull images, and check that each is what the catalog pins."""
    from harness.catalog import images
    from harness.images import ensure
    from harness.matrix.names import known_name

    served = {key: entry for key, entry in images().items() if entry.build is None}
    try:
        chosen = [known_name("image to pull", name, served) for name in names]
    except ValueError as error:
        raise InputError(str(error)) from error
    engine = engine_named(runtime)
    for name in chosen:
        here = ensure(engine, name, served[name], lambda line: typer.echo(line, err=True))
        digest = here.identity.digest or "no digest known: unpinned"
        typer.echo(f"{name}: {here.identity.reference} {digest}")


app.command("pin")(image_pins.pin)
app.command("verify")(image_pins.verify)
app.command("check")(image_check.check)
