"""``harness compare``: two runs beside each other, for people and for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options
from harness.errors import ExitCode, InputError

if TYPE_CHECKING:
    from harness.results.reading import Run


def compare(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE", help="An id, a folder, or latest; RUN@MACHINE of a run on several."
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same.")],
    value: Annotated[
        str,
        typer.Option(
            "--value",
            metavar="total_execution_s|total_inference_s|images_per_s",
            help="What to compare.",
        ),
    ] = "total_execution_s",
    fail_if_slower: Annotated[
        str | None,
        typer.Option(
            "--fail-if-slower",
            metavar="PERCENT",
            help="Exit 1 where a case's verdict is slower and its ratio beyond this, such as 5%, "
            "or where a case that completed in BASE no longer does in NEW.",
            show_default=False,
        ),
    ] = None,
    only: options.Only = None,
    skip: options.Skip = None,
    form: Annotated[
        str, typer.Option("--format", metavar="table|markdown|csv|json", help="How to show it.")
    ] = "table",
    results: options.Results = options.DEFAULT_RESULTS,
) -> None:
    """Compare two runs: per case a ratio with an interval, and whether it is faster or slower."""
    from harness.analysis.comparison import VALUES
    from harness.analysis.comparison import compare as compare_runs
    from harness.analysis.gate import gate
    from harness.matrix.names import known_name
    from harness.matrix.selection import parse_selection
    from harness.report.comparison import FORMATS, gate_lines, render
    from harness.units import parse_percent

    try:
        known_name("format", form, FORMATS)
        known_name("value", value, VALUES)
        limit = None if fail_if_slower is None else parse_percent(fail_if_slower)
    except ValueError as error:
        raise InputError(str(error)) from error
    selection = parse_selection(only or (), skip or ())
    runs = _two_runs(base, new, results)
    selection.of([case for run in runs for case in run.info.cases])
    compared = compare_runs(*runs, value, selection.takes)
    found = None if limit is None else gate(compared, limit)
    typer.echo(render(compared, form, found))
    if found is None:
        return
    if found.vacuous:
        raise InputError(
            "--fail-if-slower tested nothing: no case has a verdict (why is in each line)",
            "measure the same matrix with `repeats: 3` or more, on both sides",
        )
    if form == "csv":
        typer.echo("\n".join(gate_lines(found)), err=True)
    if not found.passed:
        raise typer.Exit(ExitCode.CASES_FAILED)


def _two_runs(base: str, new: str, results: Path) -> tuple[Run, Run]:
    from harness.report.groups import measured
    from harness.results.reading import find_machine

    found = [find_machine(name, results) for name in (base, new)]
    first, second = ((run.path.resolve(), run.info.machine) for run in found)
    if first == second:
        raise InputError(
            f"BASE and NEW are the same run, {first[0].name}", f"name two of those in {results}"
        )
    older, newer = measured(found)
    return older, newer
