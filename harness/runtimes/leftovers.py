"""What dead runs left in the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docker.models.containers import Container

from harness.errors import MachineError
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain


def find_leftovers(engine: Engine, alive: Callable[[Path], bool]) -> list[Container]:
    """Our containers whose run `alive` denies.

    A container says in its labels which run folder it belongs to; one without belongs to none.
    Raises MachineError where the engine fails.
    """
    try:
        ours = engine.client.containers.list(all=True, filters={"label": "harness.run"})
    except ENGINE_ERRORS as error:
        raise MachineError(f"the engine failed: {explain(error)}") from error
    return [container for container in ours if not _belongs_to_a_living_run(container, alive)]


def _belongs_to_a_living_run(container: Container, alive: Callable[[Path], bool]) -> bool:
    folder = container.labels.get("harness.folder")
    return folder is not None and alive(Path(folder))


def describe(container: Container) -> str:
    """A leftover in a few words."""
    case = container.labels.get("harness.case", container.labels["harness.run"])
    return f"{container.short_id} ({case})"


def remove_leftovers(engine: Engine, alive: Callable[[Path], bool]) -> list[str]:
    """Remove what `find_leftovers` finds; returns what it was. Raises MachineError."""
    removed = []
    for container in find_leftovers(engine, alive):
        try:
            container.remove(force=True, v=True)
        except ENGINE_ERRORS as error:
            raise MachineError(f"{container.short_id} stays: {explain(error)}") from error
        removed.append(describe(container))
    return removed
