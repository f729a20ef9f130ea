"""``harness attach``: take up again what was begun with ``--on``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.cli.on import Make
    from harness.remote import JobState


def attach(
    jobs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="JOB...", help="Ids of jobs. Default: all that are open.", show_default=False
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--list", help="Only show the jobs that are open.", show_default=False)
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="Give up the jobs that are named: their machines are gone. What they left stays.",
            show_default=False,
        ),
    ] = False,
) -> None:
    """Follow jobs on other machines again, and bring their results here."""
    from harness.cli.on import follow
    from harness.remote import open_jobs
    from harness.remote.address import labels, parse_address
    from harness.remote.state import find_job

    chosen = [find_job(name) for name in dict.fromkeys(jobs)] if jobs else open_jobs()
    if forget:
        _forget(chosen if jobs else [])
        return
    if show:
        for state in chosen:
            typer.echo(f"{state.job}  {state.started_at}  {state.address}  {state.matrix}")
        return
    if not chosen:
        raise InputError("there is no open job", "begin one: harness matrix FILE --on ssh://…")
    names = labels([parse_address(state.address) for state in chosen])
    if len(set(names)) < len(names):  # several jobs of one machine
        names = [f"{name} {state.job}" for name, state in zip(names, chosen, strict=True)]
    pairs = zip(names, chosen, strict=True)
    follow([(name, _maker(name, state)) for name, state in pairs], lambda _, job: job.take_up())


def _forget(jobs: Sequence[JobState]) -> None:
    from harness.remote.state import followed, forget

    if not jobs:
        raise InputError("--forget names no job", "harness attach --list shows the open ones")
    for state in jobs:
        with followed(state):
            forget(state)
        typer.echo(f"{state.job}: forgotten; what it left on {state.address} stays there")


def _maker(name: str, state: JobState) -> Make:
    from harness.remote import Job

    named = state.model_copy(update={"label": name})
    return lambda tell, stopped: Job.of(named, tell, stopped)
