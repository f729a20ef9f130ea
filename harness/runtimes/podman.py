"""Podman, over its Docker-compatible socket."""

from __future__ import annotations

import os
from collections.abc import Mapping

from harness.errors import HarnessError, NoEngineError
from harness.runtimes.engine import ENGINE_ERRORS, Engine, reach, require_here
from harness.runtimes.engine import connect as connect_docker

SETTING = "CONTAINER_HOST"
SYSTEM_SOCKET = "unix:///run/podman/podman.sock"
HOW_TO_START = (
    "start its socket: systemctl --user start podman.socket, or without systemd: "
    "podman system service --time=0 unix://$XDG_RUNTIME_DIR/podman/podman.sock; "
    "or measure without it: --runtime local"
)


def sockets(environment: Mapping[str, str]) -> list[str]:
    """Where Podman listens: the one that is named alone, or the user's and then the system's."""
    named = environment.get(SETTING)
    if named:
        return [named]
    users = environment.get("XDG_RUNTIME_DIR")
    return [*([f"unix://{users}/podman/podman.sock"] if users else []), SYSTEM_SOCKET]


def connect() -> Engine:
    """The first Podman that answers, also where DOCKER_HOST names it.

    Raises NoEngineError where none does and InputError where it is another machine's.
    """
    places = sockets(os.environ)
    why = []
    for url in places:
        require_here(url, "Podman", SETTING)
        try:
            engine = reach(url)
        except ENGINE_ERRORS as error:
            why.append(f"{url} (not allowed)" if "Permission denied" in str(error) else url)
            continue
        if engine.kind == "podman":
            return engine
        why.append(f"{url} (another engine)")
    return _of_dockers_settings() or _none(why)


def _of_dockers_settings() -> Engine | None:
    try:
        engine = connect_docker()
    except HarnessError:
        return None
    return engine if engine.kind == "podman" else None


def _none(why: list[str]) -> Engine:
    raise NoEngineError(f"no Podman engine answers at {' or '.join(why)}", HOW_TO_START)
