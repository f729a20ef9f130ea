"""Our containers in the engine, told by their labels."""

from __future__ import annotations

from collections.abc import Iterable

from docker.errors import NotFound
from docker.models.containers import Container

from harness.errors import MachineError
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain


def find(engine: Engine, *labels: str) -> list[Container]:
    """Containers with all labels (``name`` or ``name=value``), running or not.

    Raises MachineError where the engine fails.
    """
    try:
        return list(
            engine.client.containers.list(
                all=True, filters={"label": list(labels)}, ignore_removed=True
            )
        )
    except ENGINE_ERRORS as error:
        raise MachineError(f"the engine failed: {explain(error)}") from error


def describe(container: Container) -> str:
    """A container of ours in a few words."""
    case = container.labels.get("harness.case", container.labels["harness.run"])
    return f"{container.short_id} ({case})"


def remove(containers: Iterable[Container]) -> list[str]:
    """End and remove them; returns what they were. Raises MachineError where one stays."""
    removed = []
    for container in containers:
        try:
            container.remove(force=True, v=True)
        except NotFound:
            continue
        except ENGINE_ERRORS as error:
            raise MachineError(f"{container.short_id} stays: {explain(error)}") from error
        removed.append(describe(container))
    return removed
