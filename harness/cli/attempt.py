"""``harness attempt``: what a cluster's task does, on the node that Slurm gave it. Hidden."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def attempt(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="An attempt's folder with its errand.json.")
    ],
) -> None:
    """Measure the attempt that was prepared in FOLDER, and leave its record there."""
    from harness.cli.interruption import Interruption
    from harness.console import display, outcome
    from harness.executors.slurm.task import do_attempt

    with Interruption() as interruption, display() as shown:
        interruption.gentle = True
        record = do_attempt(
            folder.resolve(), os.environ, shown.on_event, lambda: interruption.asked
        )
    typer.echo("it has its record already" if record is None else outcome(record))
