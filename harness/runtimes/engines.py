"""The engines of this machine by the names of their runtimes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.errors import NoEngineError
from harness.runtimes import engine, podman
from harness.runtimes.engine import Engine

CONNECT: Mapping[str, Callable[[], Engine]] = {
    "docker": engine.connect,
    "podman": podman.connect,
}
"""In the order in which ``auto`` tries them."""


def answering() -> list[Engine]:
    """Every engine that answers, each once.

    Raises NoEngineError, Docker's, where none does, and InputError where one is another machine's.
    """
    found: dict[str, Engine] = {}
    missing: list[NoEngineError] = []
    for connect in CONNECT.values():
        try:
            one = connect()
        except NoEngineError as error:
            missing.append(error)
        else:
            found.setdefault(one.url, one)
    if not found:
        raise missing[0]
    return list(found.values())


def engine_for(runtime: str) -> Engine:
    """The engine of that name, or the first that answers for ``auto``. Raises as `answering`."""
    return CONNECT[runtime]() if runtime in CONNECT else answering()[0]
