"""The commands. The only place that turns errors into messages and exit codes."""

from __future__ import annotations

import sys

import typer

from harness import __version__
from harness.cli import (
    attach,
    attempt,
    clean,
    compare,
    data,
    doctor,
    export,
    fingerprint,
    fit,
    fleet,
    images,
    logs,
    plan,
    report,
    run,
    schema,
)
from harness.errors import HarnessError

app = typer.Typer(
    name="harness",
    help="Is this hardware feasible for my deep-learning project? "
    "The same benchmark everywhere, in pinned containers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("matrix")(run.matrix)
app.command("bench")(run.bench)
app.command("attach")(attach.attach)
app.command("plan")(plan.plan)
app.command("fit")(fit.fit)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("schema")(schema.schema)
app.add_typer(data.app, name="data")
app.add_typer(export.app, name="export")
app.add_typer(images.app, name="images")
app.add_typer(logs.app, name="logs")
app.command("doctor")(doctor.doctor)
app.command("fleet")(fleet.fleet)
app.command("fingerprint")(fingerprint.fingerprint)
app.command("clean")(clean.clean)
app.command("attempt", hidden=True)(attempt.attempt)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Run the command line; every expected error becomes one message and its exit code."""
    try:
        app()
    except HarnessError as error:
        _say(error)
        sys.exit(error.exit_code)


def _say(error: HarnessError) -> None:
    typer.echo(f"error: {error.message}", err=True)
    if error.next_step:
        typer.echo(f"  try: {error.next_step}", err=True)
