"""``harness matrix`` and ``harness bench``: measure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import one_case, options
from harness.cli.placing import HERE, Placing, placed, placing, refuse_what_is_of_one_machine
from harness.cli.prices import price, price_of_each
from harness.errors import ExitCode, InputError

if TYPE_CHECKING:
    from harness.campaign import Outcome, Prepared, Request, Schedule
    from harness.events import OnEvent, Stopped
    from harness.matrix import Matrix
    from harness.model import Status


def matrix(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A matrix file, see matrices/.")],
    gpu: options.Gpu = "auto",
    runtime: options.Runtime = "auto",
    python: options.Python = None,
    data_dir: options.DataDir = None,
    results: options.Results = options.DEFAULT_RESULTS,
    machine: options.Machine = None,
    budget: options.Budget = None,
    offline: options.Offline = False,
    only: options.Only = None,
    skip: options.Skip = None,
    resume: options.Resume = None,
    rerun: options.Rerun = None,
    parallel: options.Parallel = False,
    until_ci: options.UntilCi = None,
    max_repeats: options.MaxRepeats = 20,
    max_time: options.MaxTime = "4h",
    strict: options.Strict = False,
    price_per_hour: options.PricesPerHour = None,
    currency: options.Currency = None,
    on: options.On = None,
    keep: options.Keep = False,
    events: options.Events = None,
    executor: options.Executor = "inline",
    address: options.Address = None,
    gpu_model: options.GpuModel = None,
    site: options.Site = None,
) -> None:
    """Measure every case of a matrix file."""
    from harness.cli.on import measure_on, refuse_what_is_of_this_machine
    from harness.matrix import load, parse_selection
    from harness.remote.options import RunOptions
    from harness.results.reading import find_run

    parsed, text = load(file)
    where = placing(executor, address, gpu_model, site)
    refuse_what_is_of_one_machine(where, gpu, parallel, until_ci)
    prices = price_of_each(price_per_hour or (), currency, len(dict.fromkeys(on or ())) or 1)
    folder = data_dir.absolute() if data_dir is not None and not where.here else data_dir
    request = replace(
        machine_request(
            gpu, runtime, python, folder, results, machine, budget, offline, where.here
        ),
        selection=parse_selection(only or (), skip or ()),
        parallel=parallel,
        price=prices[0],
    )
    if rerun is not None and resume is None:
        raise InputError("--rerun says what a run that goes on measures again", "add --resume RUN")
    if on and not where.here:
        raise InputError("--on and --executor both say where to measure", "leave one of them out")
    if on:
        refuse_what_is_of_this_machine(resume, events)
        there = RunOptions(
            gpu=gpu,
            runtime=runtime,
            python=python,
            machine=machine,
            budget=budget,
            offline=offline,
            only=tuple(only or ()),
            skip=tuple(skip or ()),
            parallel=parallel,
            until_ci=until_ci,
            max_repeats=max_repeats,
            max_time=max_time,
            strict=strict,
        )
        schedule(parallel, until_ci, max_repeats, max_time, strict)  # refused here, not there
        folders = (data_dir, results)
        priced = dict(zip(dict.fromkeys(on), prices, strict=True))
        measure_on(priced, (parsed, text, file), there, request.selection, folders, keep)
    if keep:
        raise InputError("--keep is of a run on another machine", "add --on ssh://…")
    going_on = find_run(resume, results) if resume is not None else None
    _measure(
        parsed,
        text,
        request,
        schedule(parallel, until_ci, max_repeats, max_time, strict),
        partial(_resume, going_on, statuses(rerun)) if going_on is not None else _run,
        events,
        where,
    )


def bench(
    model: one_case.Model,
    dataset: one_case.Dataset,
    protocol: one_case.Protocol = "reference",
    measure: Annotated[
        str, typer.Option(help="full runs all of it; quick measures a part.")
    ] = "full",
    precision: one_case.Precision = None,
    batch_size: Annotated[int | None, typer.Option(help="Default: the protocol's.")] = None,
    framework: one_case.Framework = "tensorflow",
    jit: one_case.Jit = None,
    deterministic: Annotated[
        bool | None,
        typer.Option(
            "--deterministic", help="Only operations that give the same result each time."
        ),
    ] = None,
    weights: Annotated[str, typer.Option(help="random or imagenet.")] = "random",
    image: one_case.Image = None,
    repeats: Annotated[int, typer.Option(help="How often to measure it.")] = 1,
    memory_limit: Annotated[
        str | None, typer.Option(help="The container's memory, such as 6g.")
    ] = None,
    dataset_fallback: one_case.Fallback = None,
    gpu: options.Gpu = "auto",
    runtime: options.Runtime = "auto",
    python: options.Python = None,
    data_dir: options.DataDir = None,
    results: options.Results = options.DEFAULT_RESULTS,
    machine: options.Machine = None,
    budget: options.Budget = None,
    offline: options.Offline = False,
    until_ci: options.UntilCi = None,
    max_repeats: options.MaxRepeats = 20,
    max_time: options.MaxTime = "4h",
    strict: options.Strict = False,
    price_per_hour: options.PricePerHour = None,
    currency: options.Currency = None,
) -> None:
    """Measure one case: a matrix of one."""
    fields = {
        "protocol": protocol,
        "measure": measure,
        "precision": precision,
        "batch_size": batch_size,
        "framework": framework,
        "jit": jit,
        "deterministic": deterministic,
        "weights": weights,
        "image": image,
    }
    settings = {
        "repeats": repeats,
        "memory_limit": memory_limit,
        "dataset_fallback": dataset_fallback,
    }
    matrix_of_one, text = one_case.parsed(one_case.content(model, dataset, fields, settings))
    request = replace(
        machine_request(gpu, runtime, python, data_dir, results, machine, budget, offline),
        price=price(price_per_hour, currency),
    )
    order = schedule(False, until_ci, max_repeats, max_time, strict)
    _measure(matrix_of_one, text, request, order, _run)


def machine_request(
    gpu: str,
    runtime: str,
    python: str | None,
    data_dir: Path | None,
    results: Path,
    machine: str | None,
    budget: str | None,
    offline: bool,
    here: bool = True,
) -> Request:
    """The options that are about this machine, checked. Raises InputError.

    `here`: this machine measures; elsewhere a folder of data need not be on it.
    """
    from harness.campaign import Request
    from harness.matrix.fields import gpu_request
    from harness.matrix.names import known_name
    from harness.plan.runtime import NAMES
    from harness.units import parse_duration

    try:
        gpus = tuple(dict.fromkeys(gpu_request(part) for part in gpu.split(",")))
        known_name("runtime", runtime, NAMES)
        budget_s = parse_duration(budget) if budget is not None else None
    except ValueError as error:
        raise InputError(str(error)) from error
    if here and data_dir is not None and not os.path.isdir(data_dir):  # noqa: PTH112 - never raises
        raise InputError(f"--data-dir {data_dir} is no folder")
    if machine is not None and not machine.strip():
        raise InputError("--machine needs a name")
    if python is not None:
        runtime = without_container(runtime)
    return Request(gpus, runtime, python, data_dir, results, machine, budget_s, offline)


def without_container(runtime: str) -> str:
    """The runtime where --python is named. Raises InputError where it has an interpreter itself."""
    if runtime not in ("auto", "local"):
        raise InputError(
            f"--python is of the runtime local, and --runtime {runtime} runs its image's own",
            "leave one of the two out",
        )
    return "local"


def schedule(
    parallel: bool, until_ci: str | None, max_repeats: int, max_time: str, strict: bool
) -> Schedule:
    """The options that are about order, repeats and what counts, checked. Raises InputError."""
    from harness.campaign import Schedule, UntilStable
    from harness.units import parse_duration, parse_share

    if until_ci is None:
        return Schedule(parallel, strict=strict)
    try:
        until = UntilStable(parse_share(until_ci), max_repeats, parse_duration(max_time))
    except ValueError as error:
        raise InputError(str(error)) from error
    return Schedule(parallel, until, strict)


def statuses(text: str | None) -> tuple[Status, ...]:
    """The statuses in ``oom,failed``. Raises InputError."""
    from harness.matrix.names import known_name
    from harness.model import Status

    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    try:
        return tuple(
            Status(known_name("status", word, (status.value for status in Status)))
            for word in words
        )
    except ValueError as error:
        raise InputError(f"--rerun: {error}") from error


Go = Callable[["Prepared", "OnEvent", "Stopped", "Schedule"], "Outcome"]
"""Measures what has been prepared."""


def _run(prepared: Prepared, on_event: OnEvent, stopped: Stopped, order: Schedule) -> Outcome:
    from harness.campaign import run

    return run(prepared, on_event, stopped, order)


def _resume(
    path: Path,
    rerun: Sequence[Status],
    prepared: Prepared,
    on_event: OnEvent,
    stopped: Stopped,
    order: Schedule,
) -> Outcome:
    from harness.campaign import resume

    return resume(prepared, path, rerun, on_event, stopped, order)


def _measure(
    parsed: Matrix,
    text: str,
    request: Request,
    order: Schedule,
    go: Go,
    events: Path | None = None,
    where: Placing = HERE,
) -> None:
    """Prepare, measure, report. Ends the process with the run's exit code."""
    from harness.campaign import prepare, prepare_elsewhere
    from harness.cli.event_file import also_written
    from harness.cli.interruption import Interruption
    from harness.console import display
    from harness.report import render
    from harness.results.reading import read_run

    with (
        Interruption() as interruption,
        also_written(display(), events) as shown,
        placed(where, parsed, request, shown.note) as executor,
    ):
        if executor is None:
            prepared = prepare(parsed, text, request, shown.note)
        else:
            prepared = prepare_elsewhere(parsed, text, request, executor, shown.note)
        interruption.gentle = True
        outcome = go(prepared, shown.on_event, lambda: interruption.asked, order)
    typer.echo("\n" + render(read_run(outcome.folder).by_machine(), "table"))
    for record in outcome.spoilt:
        told = "; ".join(record.disturbed_by)
        which = f"{record.case_id} #{record.repeat}"
        typer.echo(f"does not count (--strict): {which}: {told}", err=True)
    if outcome.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    raise typer.Exit(ExitCode.OK if outcome.as_expected else ExitCode.CASES_FAILED)
