"""``harness images check``: what a user runs before trusting a new image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli import options
from harness.cli.engines import engine_named
from harness.errors import ExitCode, InputError

if TYPE_CHECKING:
    from harness.images.check import Attempted, Checked

MARKS = {True: "ok", None: "--", False: "!!"}
FORMATS = ("text", "json")


def check(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="A name of the catalog, or any image reference.")
    ],
    gpu: options.Gpu = "auto",
    runtime: options.Engine = "auto",
    form: Annotated[
        str, typer.Option("--format", metavar="text|json", help="How to show it.")
    ] = "text",
) -> None:
    """Start an image as a case is started, and say what works in it; exit 1 where no case can run.

    ok: a case has what it needs. --: only told. !!: no case can run so. Then options are relaxed
    one at a time, to find which of them keeps the image from running.
    """
    from harness.host.gpus import choose, find_gpus
    from harness.images.check import check as try_out
    from harness.runtimes.docker import DockerRuntime

    if form not in FORMATS:
        raise InputError(f"unknown format {form!r}; known: {', '.join(FORMATS)}")
    device = choose(gpu, find_gpus())
    starts = DockerRuntime(engine_named(runtime))
    checked = try_out(starts, reference, device, lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(_as_json(checked), indent=2) if form == "json" else _as_text(checked))
    if not checked.strict.works:
        raise typer.Exit(ExitCode.CASES_FAILED)


def _as_text(checked: Checked) -> str:
    parts = [_table(checked.reference, checked.strict)]
    if checked.strict.works:
        parts.append("a case can run in it; no safety option had to be relaxed")
    elif checked.relaxed is None:
        parts.append("no case can run in it, and no relaxation that was tried helped")
    else:
        parts.append(_table(checked.reference, checked.relaxed))
        parts.append(
            f"no case can run in it as cases are started; it runs {checked.relaxed.how}, "
            "which the harness does not do"
        )
    return "\n\n".join(parts)


def _table(reference: str, attempted: Attempted) -> str:
    from tabulate import tabulate

    rows = [[MARKS[line.ok], line.what, line.detail] for line in attempted.lines]
    return f"{reference}, {attempted.how}:\n" + tabulate(rows, tablefmt="plain")


def _as_json(checked: Checked) -> dict[str, Any]:
    def told(attempted: Attempted | None) -> dict[str, Any] | None:
        if attempted is None:
            return None
        found = [vars(line) for line in attempted.lines]
        return {"how": attempted.how, "works": attempted.works, "found": found}

    return {
        "reference": checked.reference,
        "works": checked.strict.works,
        "strict": told(checked.strict),
        "relaxed": told(checked.relaxed),
    }
