"""An engine that speaks Docker's API: reached lazily, on this machine only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from requests.exceptions import ConnectionError as NoConnectionError
from requests.exceptions import RequestException, Timeout
from urllib3.exceptions import HTTPError, ProtocolError

from harness.errors import InfraError, InputError, MachineError, NoEngineError

ENGINE_ERRORS: tuple[type[Exception], ...] = (
    DockerException,
    RequestException,
    HTTPError,
    OSError,
)
"""All that a call to the engine may raise; its streams raise urllib3's own errors."""

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
SELINUX = Path("/sys/fs/selinux/enforce")
TIMEOUT_S = 60
ANSWER_S = 5

HOW_TO_START = "start Docker (systemctl start docker), or measure without it: --runtime local"


@dataclass(frozen=True)
class Engine:
    """A connection and what the engine said of itself.

    `kind` is ``docker`` or ``podman``. `limits`: it can limit and count what a container uses.
    """

    client: docker.DockerClient
    url: str
    kind: str
    version: str
    rootless: bool
    remaps_users: bool
    limits: bool
    selinux: bool
    runtimes: tuple[str, ...]
    root_folder: str

    def takes_calls(self) -> bool:
        """Whether it takes a new connection: one that is being stopped serves the old ones yet."""
        try:
            anew = docker.DockerClient(base_url=self.url, timeout=ANSWER_S)
            with contextlib.closing(anew):
                return bool(anew.ping())
        except ENGINE_ERRORS:
            return False


def connect() -> Engine:
    """The engine of DOCKER_HOST, of Docker's current context, or the usual socket.

    Raises NoEngineError where none answers and InputError where it is another machine's.
    """
    url = _url()
    try:
        return reach(url)
    except ENGINE_ERRORS as error:
        raise NoEngineError(_why(url, error), HOW_TO_START) from error


def reach(url: str) -> Engine:
    """The engine at `url`, told by what it says of itself. Raises one of ENGINE_ERRORS."""
    client = docker.DockerClient(base_url=url, version="auto", timeout=TIMEOUT_S)
    return described(client, url, client.info(), client.version())


def described(
    client: docker.DockerClient, url: str, info: Mapping[str, Any], version: Mapping[str, Any]
) -> Engine:
    """What the answers to /info and /version say. Pure."""
    traits = info.get("SecurityOptions") or []
    kind = "podman" if _is_podman(version) else "docker"
    # Podman says it in a field of its own.
    rootless = bool(info.get("Rootless")) or _has(traits, "rootless")
    no_cgroup = rootless and str(info.get("CgroupVersion")) == "1"
    return Engine(
        client=client,
        url=url,
        kind=kind,
        version=str(info.get("ServerVersion", "?")),
        rootless=rootless,
        remaps_users=_has(traits, "userns"),
        limits=bool(info.get("MemoryLimit")) and not no_cgroup,
        # Podman does not say it here; it goes by the kernel.
        selinux=_has(traits, "selinux") or (kind == "podman" and SELINUX.exists()),
        runtimes=tuple(info.get("Runtimes") or ()),
        root_folder=str(info.get("DockerRootDir") or "/"),
    )


def _is_podman(version: Mapping[str, Any]) -> bool:
    parts = version.get("Components") or ()
    return any("podman" in str(part.get("Name", "")).lower() for part in parts)


def _has(traits: Iterable[str], name: str) -> bool:
    return any(trait.startswith(f"name={name}") for trait in traits)


def _url() -> str:
    try:
        context = {} if os.environ.get("DOCKER_HOST") else ContextAPI.kwargs_from_context()
    except DockerException as error:
        raise MachineError(f"Docker's context cannot be read: {error}") from error
    url = os.environ.get("DOCKER_HOST") or context.get("base_url") or DEFAULT_SOCKET
    require_here(url, "Docker", "DOCKER_HOST")
    return str(url)


def require_here(url: str, spoken: str, setting: str) -> None:
    """Raise InputError where the engine that `setting` names is another machine's."""
    if not url.startswith(("unix://", "npipe://", "/")):
        raise InputError(
            f"the {spoken} engine at {url} is on another machine",
            f"install the harness there and run the same command, or unset {setting}",
        )


def _why(url: str, error: Exception) -> str:
    text = str(error)
    if "Permission denied" in text:
        return f"this user may not use the Docker engine at {url} (is it in the group docker?)"
    return f"no Docker engine answers at {url}"


def infra(what: str, error: Exception) -> InfraError:
    """`what` the engine failed at, told; one that refuses (4xx) will refuse again."""
    refused = isinstance(error, APIError) and error.is_client_error()
    return InfraError(f"{what}: {explain(error)}", transient=not refused)


def explain(error: Exception) -> str:
    """The engine's own words in one line, or that it has none any more."""
    if isinstance(error, Timeout):
        return "the engine did not answer in time"
    if isinstance(error, (NoConnectionError, ProtocolError)):
        return f"the engine does not answer ({_innermost(error)})"
    text = error.explanation if isinstance(error, APIError) and error.explanation else str(error)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return " ".join(str(text).split()) or type(error).__name__


def _innermost(error: BaseException) -> str:
    """What the libraries below wrapped into each other, by its last words."""
    for argument in error.args:
        if isinstance(argument, BaseException):
            return _innermost(argument)
    return str(error) or type(error).__name__
