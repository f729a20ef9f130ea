"""``harness clean``: remove what dead runs left in the engines."""

from __future__ import annotations

import typer


def clean() -> None:
    """Remove the containers of runs whose harness is dead; those of living runs stay."""
    from harness.results.run import is_alive
    from harness.runtimes.engines import answering
    from harness.runtimes.leftovers import remove_leftovers

    removed = [name for engine in answering() for name in remove_leftovers(engine, is_alive)]
    for name in removed:
        typer.echo(f"removed {name}")
    typer.echo(f"{len(removed)} container{'' if len(removed) == 1 else 's'} removed")
