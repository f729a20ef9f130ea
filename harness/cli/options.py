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
        help="What to measure; several GPUs each measure every case, in turn or --parallel.",
    ),
]
Runtime = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="auto|docker|podman|apptainer|local",
        help="What starts the cases; local is a Python environment, without a container.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="auto|docker|podman",
        help="The engine that holds the images; auto is the first that answers.",
    ),
]
Python = Annotated[
    str | None,
    typer.Option(
        "--python",
        metavar="PATH",
        help="The interpreter that runs the cases without a container. Default: this one.",
        show_default=False,
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
PricePerHour = Annotated[
    float | None,
    typer.Option(
        "--price-per-hour",
        metavar="PRICE",
        help="What this machine costs an hour, such as 1.29: the report says what the cases cost.",
        show_default=False,
    ),
]
PricesPerHour = Annotated[
    list[float] | None,
    typer.Option(
        "--price-per-hour",
        metavar="PRICE",
        help="What this machine costs an hour, such as 1.29: the report says what the cases cost. "
        "With several --on one price for all, or one for each in the same order.",
        show_default=False,
    ),
]
Currency = Annotated[
    str | None,
    typer.Option(
        "--currency",
        metavar="CODE",
        help="With --price-per-hour: its currency, such as EUR. Default: USD.",
        show_default=False,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="KEY=V[,V]",
        help="Take only the cases with one of these values, such as model=model-a. Repeatable.",
        show_default=False,
    ),
]
Skip = Annotated[
    list[str] | None,
    typer.Option(
        "--skip",
        metavar="KEY=V[,V]",
        help="Leave out the cases with one of these values. Repeatable.",
        show_default=False,
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Go on with a run that broke off (an id, a folder, or latest): measure what is left.",
        show_default=False,
    ),
]
Rerun = Annotated[
    str | None,
    typer.Option(
        "--rerun",
        metavar="STATUS[,...]",
        help="With --resume: measure again what ended so, such as oom,failed.",
        show_default=False,
    ),
]
Parallel = Annotated[
    bool,
    typer.Option(
        "--parallel",
        help="Use several GPUs at once. Neighbours disturb each other: the records say who ran "
        "beside whom.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="What something else disturbed does not count: exit 1, and --resume measures it "
        "again.",
        show_default=False,
    ),
]
UntilCi = Annotated[
    str | None,
    typer.Option(
        "--until-ci",
        metavar="PERCENT",
        help="Repeat each case until the 95% interval of its median is this narrow, such as 1%.",
        show_default=False,
    ),
]
MaxRepeats = Annotated[
    int, typer.Option("--max-repeats", metavar="N", min=1, help="With --until-ci: no more repeats.")
]
MaxTime = Annotated[
    str,
    typer.Option(
        "--max-time",
        metavar="TIME",
        help="With --until-ci: begin no repeat that would end later than this after the start.",
    ),
]
On = Annotated[
    list[str] | None,
    typer.Option(
        "--on",
        metavar="ssh://[USER@]HOST[:PORT][/FOLDER]",
        help="Measure on this machine, which is reached by SSH: docs/remote.md. Repeatable; "
        "several are measured side by side.",
        show_default=False,
    ),
]
Keep = Annotated[
    bool,
    typer.Option(
        "--keep",
        help="With --on: leave the environment and the results on that machine, too.",
        show_default=False,
    ),
]
Events = Annotated[
    Path | None,
    typer.Option(
        "--events",
        metavar="FILE",
        help="Append what happens to this file, one line of JSON each.",
        show_default=False,
    ),
]
Executor = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="inline|ray|slurm",
        help="Where attempts run: on this machine, on a fleet (docs/fleet.md), on a cluster "
        "(docs/slurm.md).",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="The Ray cluster. Default: the one that this machine belongs to.",
        show_default=False,
    ),
]
GpuModel = Annotated[
    str | None,
    typer.Option(
        "--gpu-model",
        metavar="NAME",
        help="With --executor: only GPUs of this model, such as A100.",
        show_default=False,
    ),
]
Site = Annotated[
    Path | None,
    typer.Option(
        "--site",
        metavar="FILE",
        help="With --executor slurm: partition, account and the like, as docs/slurm.md says.",
        show_default=False,
    ),
]
