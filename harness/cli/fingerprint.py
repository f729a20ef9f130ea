"""``harness fingerprint``: what a run stores of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options

if TYPE_CHECKING:
    from harness.plan.machine import Machine


def fingerprint(
    results: options.Results = options.DEFAULT_RESULTS,
    name: options.Machine = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as run.json holds it instead.")
    ] = False,
) -> None:
    """Show what results store of this machine; takes about a second, stores nothing.

    No name of host or user, no address, no serial; a GPU's UUID and the machine's id only as
    salted hashes.
    """
    from harness.host.gpus import find_gpus
    from harness.plan.machine import this_machine

    machine = this_machine(find_gpus(), _nearest(results), _engine(), name)
    typer.echo(_json(machine) if as_json else _table(machine))


def _nearest(folder: Path) -> Path:
    """The folder, or the one that is there and that it would be made in."""
    places = (folder, *folder.resolve().parents)
    return next(place for place in places if place.is_dir())


def _engine() -> str | None:
    from harness.errors import HarnessError
    from harness.runtimes.engine import connect

    try:
        engine = connect()
    except HarnessError:
        return None
    return f"{engine.kind} {engine.version}"


def _json(machine: Machine) -> str:
    import json

    content = {
        "machine": machine.label,
        "machine_hash": machine.known_by,
        "fingerprint": machine.fingerprint.model_dump(mode="json"),
    }
    return json.dumps(content, indent=2)


def _table(machine: Machine) -> str:
    from tabulate import tabulate

    from harness.report.machine import rows

    shown = [("label", machine.label), ("known by", machine.known_by), *rows(machine.fingerprint)]
    return tabulate(shown, tablefmt="plain", disable_numparse=True)
