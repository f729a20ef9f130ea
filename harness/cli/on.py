"""``harness matrix --on``: the same command on machines that are reached by SSH."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.errors import ExitCode, HarnessError, InputError

if TYPE_CHECKING:
    from harness.analysis.cost import Price
    from harness.events import Event, OnEvent, Stopped
    from harness.matrix import Matrix, Selection
    from harness.remote import Ended, Job, RunOptions

Make = Callable[["OnEvent", "Stopped"], "Job"]
"""Makes a job that tells its events, and asks whether the user has had enough."""


def refuse_what_is_of_this_machine(resume: str | None, events: Path | None) -> None:
    """Options that mean nothing elsewhere. Raises InputError."""
    if resume is not None:
        raise InputError(
            "--resume goes on with a run on the machine that began it, and --on begins one",
            "harness attach takes up a job again; what is left can be chosen with --only",
        )
    if events is not None:
        raise InputError("--events is of a run on this machine", "leave it out, or --on")


def measure_on(
    machines: Mapping[str, Price | None],
    matrix: tuple[Matrix, str, Path],
    options: RunOptions,
    selection: Selection,
    folders: tuple[Path | None, Path],
    keep: bool,
) -> None:
    """Measure on each machine, side by side. Ends the process with the worst exit code.

    `machines` are addresses, each with what it costs; `matrix` is parsed, as text, and its file;
    `folders` are those of the data and of the runs.
    """
    from harness.catalog.images import own_catalog
    from harness.remote import parse_address
    from harness.remote.address import labels
    from harness.remote.job import Job
    from harness.remote.preparing import Order
    from harness.remote.supplies import here

    addresses = [parse_address(text) for text in machines]
    for number, address in enumerate(addresses):
        if address in addresses[:number]:
            raise InputError(f"--on names {address} twice", "leave one of the two out")
    if len(addresses) > 1 and options.machine is not None:
        raise InputError(
            "--machine names one machine, and --on names several",
            "leave it out: each is called by its GPU and a short hash",
        )
    parsed, text, file = matrix
    data_dir, results = folders
    images = own_catalog()
    supplies = here(parsed, options.gpu.split(","), selection, data_dir)
    names = labels(addresses)
    orders = [
        Order(text, file.name, _priced(options, price), supplies, results, keep, images)
        for price in machines.values()
    ]

    def maker(number: int) -> Make:
        return lambda tell, stopped: Job(addresses[number], names[number], tell, stopped)

    makers = [(name, maker(number)) for number, name in enumerate(names)]
    follow(makers, lambda number, job: job.begin(orders[number]))


def _priced(options: RunOptions, price: Price | None) -> RunOptions:
    if price is None:
        return options
    return replace(options, price_per_hour=price.per_hour, currency=price.currency)


def follow(makers: Sequence[tuple[str, Make]], work: Callable[[int, Job], Ended]) -> None:
    """Do `work` for every job and its number, show it, report.

    Ends the process with the worst exit code.
    """
    from harness.cli.interruption import Interruption
    from harness.console import display
    from harness.remote import side_by_side
    from harness.remote.together import worst

    lock = threading.Lock()
    with Interruption() as interruption, display() as shown:
        # A closed terminal ends this process alone: the runs elsewhere go on.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        interruption.gentle = True
        jobs = [
            make(
                _teller(label if len(makers) > 1 else None, shown.on_event, lock),
                lambda: interruption.asked,
            )
            for label, make in makers
        ]
        try:
            ended = side_by_side(jobs, work)
        except KeyboardInterrupt:
            _tell_left(jobs)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    _report(ended)
    raise typer.Exit(worst(ended))


def _teller(label: str | None, on_event: OnEvent, lock: threading.Lock) -> OnEvent:
    from harness.remote.naming import named

    def tell(event: Event) -> None:
        with lock:
            on_event(event if label is None else named(event, label))

    return tell


def _tell_left(jobs: Sequence[Job]) -> None:
    from harness.remote import open_jobs

    there = {state.job for state in open_jobs()}
    for job in jobs:
        if job.state is not None and job.state.job in there:
            typer.echo(f"{job.label}: it goes on there: harness attach {job.state.job}", err=True)
            if job.arrived is not None:
                typer.echo(f"{job.label}: what has arrived until now: {job.arrived}", err=True)


def _report(ended: Sequence[Ended]) -> None:
    from harness.report import render
    from harness.results.reading import read_run

    runs = []
    for one in ended:
        if one.folder is not None:
            try:
                runs += read_run(one.folder).by_machine()
            except HarnessError as error:
                _say(one.label, error)
    if runs:
        typer.echo("\n" + render(runs, "table"))
    for one in ended:
        if one.folder is not None:
            part = "" if one.whole else " (what had ended there and has arrived)"
            typer.echo(f"{one.label}: {one.folder}{part}", err=True)
        if one.error is not None:
            _say(one.label, one.error)


def _say(label: str, error: HarnessError) -> None:
    typer.echo(f"error: {label}: {error.message}", err=True)
    if error.next_step:
        typer.echo(f"  try: {error.next_step}", err=True)
