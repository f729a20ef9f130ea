"""``harness doctor``: what this machine lacks."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options
from harness.errors import ExitCode

if TYPE_CHECKING:
    from harness.doctor import Asked, Finding

MARKS = {True: "ok", None: "--", False: "!!"}
COLOURS = {True: typer.colors.GREEN, None: typer.colors.YELLOW, False: typer.colors.RED}


def doctor(
    results: options.Results = options.DEFAULT_RESULTS,
    data_dir: options.DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead.")] = False,
) -> None:
    """Look at what a run needs: ok, or what is missing and the command that mends it.

    ok: it is there. --: a run can do without. !!: no run can start, exit 3.
    """
    import dataclasses
    import json

    from harness.doctor import examine

    findings = examine(_asked(results, data_dir))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(found) for found in findings], indent=2))
    else:
        # Where it goes into a pipe or a file, click takes the colours out by itself.
        plain = False if os.environ.get("NO_COLOR") else None
        for line in lines(findings):
            typer.echo(line, color=plain)
    if any(found.ok is False for found in findings):
        raise typer.Exit(ExitCode.MACHINE_LACKS)


def _asked(results: Path, data_dir: Path | None) -> Asked:
    from harness.catalog import datasets
    from harness.doctor import Asked
    from harness.plan import DataFolders, locate

    folders = DataFolders.of(data_dir)

    def verified(name: str) -> Path | None:
        if folders.find(datasets()[name]) is None:
            return None
        return locate(name, folders, fallback=None).folder

    named = "" if data_dir is None else f" --data-dir {shlex.quote(str(data_dir))}"
    return Asked(results, folders.folders, verified, data_dir, f"harness data fetch{named}")


def lines(findings: Iterable[Finding]) -> list[str]:
    """One line each, aligned; below it, indented to the words, what mends it."""
    findings = list(findings)
    width = max((len(found.name) for found in findings), default=0)
    shown = []
    for found in findings:
        mark = typer.style(MARKS[found.ok], fg=COLOURS[found.ok])
        shown.append(f"{mark}  {found.name:<{width}}  {' '.join(found.what.split())}")
        if found.mend:
            shown.append(" " * (width + 6) + found.mend)
    return shown
