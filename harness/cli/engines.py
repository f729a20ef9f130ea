"""The container engine that a command about images asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.runtimes.engine import Engine


def engine_named(runtime: str) -> Engine:
    """The engine behind ``--runtime``. Raises InputError for a name that is none, NoEngineError."""
    from harness.matrix.names import known_name
    from harness.runtimes.engines import CONNECT, engine_for

    try:
        known_name("engine", runtime, ("auto", *CONNECT))
    except ValueError as error:
        raise InputError(str(error)) from error
    return engine_for(runtime)
