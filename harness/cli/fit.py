"""``harness fit``: the largest batch that fits into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import one_case, options
from harness.cli.run import machine_request
from harness.errors import ExitCode, InputError


def fit(
    model: one_case.Model,
    dataset: one_case.Dataset,
    framework: one_case.Framework = "tensorflow",
    precision: one_case.Precision = None,
    protocol: one_case.Protocol = "reference",
    jit: one_case.Jit = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="As on a device with so much memory, such as 6g. Default: all of the GPU's, or "
            "nine tenths of the free main memory.",
            show_default=False,
        ),
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Try no larger one.")] = 4096,
    max_probes: Annotated[int, typer.Option(min=1, help="Try no more batch sizes.")] = 20,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="Of each probe.")] = "30m",
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with a search (an id, a folder, or latest): what was tried is kept.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="text|json", help="How to show it.")
    ] = "text",
    image: one_case.Image = None,
    dataset_fallback: one_case.Fallback = None,
    gpu: options.Gpu = "auto",
    runtime: options.Runtime = "auto",
    python: options.Python = None,
    data_dir: options.DataDir = None,
    results: options.Results = options.DEFAULT_RESULTS,
    machine: options.Machine = None,
    offline: options.Offline = False,
) -> None:
    """Find the largest batch that fits: probes of a few steps, each in a fresh process."""
    from harness.cli.interruption import Interruption
    from harness.console import display
    from harness.fit import FORMATS, Question, find
    from harness.matrix.names import known_name
    from harness.results.reading import find_run
    from harness.units import parse_size

    try:
        known_name("format", form, FORMATS)
        limit = parse_size(memory) if memory is not None else None
    except ValueError as error:
        raise InputError(str(error)) from error
    fields = {
        "framework": framework,
        "protocol": protocol,
        "precision": precision,
        "jit": jit,
        "image": image,
    }
    settings = {"timeout": timeout, "dataset_fallback": dataset_fallback}
    content = one_case.content(model, dataset, fields, settings)
    one_case.parsed(content)  # what is wrong with it is told before anything is looked for
    request = machine_request(gpu, runtime, python, data_dir, results, machine, None, offline)
    going_on: Path | None = find_run(resume, results) if resume is not None else None
    question = Question(content, limit, max_batch, max_probes)
    with Interruption() as interruption, display() as shown:
        interruption.gentle = True
        ears = (shown.on_event, lambda: interruption.asked)
        answer = find(question, request, going_on, shown.note, ears)
    typer.echo(FORMATS[form](answer))
    if answer.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    raise typer.Exit(ExitCode.OK if answer.settled else ExitCode.CASES_FAILED)
