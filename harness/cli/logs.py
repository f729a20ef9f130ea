"""``harness logs``: what a saved log says about memory and other resources."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.model import MemoryEvent, ResourceEvent
    from harness.runner.saved_log import SavedLog

app = typer.Typer(help="What saved logs say.")

FORMATS = ("text", "json")
KILLED = 137


@app.callback()
def _top() -> None:
    """What saved logs say."""


@app.command()
def classify(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A saved log; - reads a pipe.")],
    exit_code: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=255,
            help="How the process ended. Default: 0, which counts as completed; 137 with "
            "--oom-killed.",
            show_default=False,
        ),
    ] = None,
    oom_killed: Annotated[
        bool,
        typer.Option(
            "--oom-killed", help="The kernel ended it at a memory limit.", show_default=False
        ),
    ] = False,
    form: Annotated[
        str, typer.Option("--format", metavar="text|json", help="How to show it.")
    ] = "text",
) -> None:
    """Tell from a log and an exit code whether memory or another resource ran short, and why."""
    from harness.model import Exit
    from harness.runner.saved_log import judge_log

    if form not in FORMATS:
        raise InputError(f"unknown format {form!r}", f"use one of {', '.join(FORMATS)}")
    code = exit_code if exit_code is not None else KILLED if oom_killed else 0
    try:
        with ExitStack() as opened:
            source = sys.stdin.fileno() if file == "-" else os.open(file, os.O_RDONLY)
            if file != "-":
                opened.callback(os.close, source)
            log = judge_log(lambda n: os.read(source, n), Exit(code=code, oom_killed=oom_killed))
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot read {file}: {what}", "name a file, or - for a pipe") from error
    typer.echo(json.dumps(_as_json(log), indent=2) if form == "json" else _as_text(log))


def _as_json(log: SavedLog) -> dict[str, Any]:
    status, reason, resource = log.verdict
    return {
        "status": status.value,
        "reason": reason,
        "resource": resource,
        "events": [_event(event) for event in log.events],
        "events_left_out": log.left_out,
    }


def _event(event: MemoryEvent | ResourceEvent) -> dict[str, Any]:
    from dataclasses import asdict

    return {"kind": "resource", **asdict(event)}


def _as_text(log: SavedLog) -> str:
    status, reason, _ = log.verdict
    lines = [f"{status.value}: {reason}" if reason else status.value]
    lines += [f"  {_words(event)}" for event in log.events]
    if log.left_out:
        lines.append(f"  and {log.left_out} more")
    return "\n".join(lines)


def _words(event: MemoryEvent | ResourceEvent) -> str:
    from harness.model import MemoryEvent
    from harness.units import human_bytes

    if not isinstance(event, MemoryEvent):
        return f"byte {event.offset}: {event.resource} ({event.rule}): {event.line}"
    size = f", {human_bytes(event.requested_bytes)}" if event.requested_bytes else ""
    who = f", {event.allocator}" if event.allocator else ""
    return f"byte {event.offset}: {event.kind.value} ({event.rule}){who}{size}: {event.line}"
