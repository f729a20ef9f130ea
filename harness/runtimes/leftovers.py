"""What dead runs left in the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docker.models.containers import Container

from harness.runtimes.containers import find, remove
from harness.runtimes.engine import Engine


def find_leftovers(engine: Engine, alive: Callable[[Path], bool]) -> list[Container]:
    """Our containers whose run `alive` denies.

    A container says in its labels which run folder it belongs to; one without belongs to none.
    Raises MachineError where the engine fails.
    """
    ours = find(engine, "harness.run")
    return [container for container in ours if not _belongs_to_a_living_run(container, alive)]


def _belongs_to_a_living_run(container: Container, alive: Callable[[Path], bool]) -> bool:
    folder = container.labels.get("harness.folder")
    return folder is not None and alive(Path(folder))


def remove_leftovers(engine: Engine, alive: Callable[[Path], bool]) -> list[str]:
    """Remove what `find_leftovers` finds; returns what it was. Raises MachineError."""
    return remove(find_leftovers(engine, alive))
