"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Fetch nothing: a dataset that is not here is missing.",
        show_default=False,
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        help="How long measure quick may train a case, such as 60s. Default: the matrix's, or 20 s "
        "to 5 min.",
        show_default=False,
    ),
]
DEFAULT_RESULTS = Path("results")

Gpu = Annotated[
    str,
    typer.Option(
        "--gpu",
        metavar="auto|cpu|INDEX|UUID[,...]",
        help="What to measure; several GPUs are measured one after the other.",
    ),
]
Runtime = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="auto|docker|local",
        help="What starts the cases; local is this Python environment, without a container.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Folder of the datasets. Default: HARNESS_DATA_DIR, then the user's cache.",
        show_default=False,
    ),
]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Folder of the runs.")]
Machine = Annotated[
    str | None,
    typer.Option(
        "--machine",
        metavar="NAME",
        help="Label of this machine in reports. Default: GPU model and a short hash.",
        show_default=False,
    ),
]
