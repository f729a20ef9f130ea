"""Cases in containers of the Docker engine."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.utils.socket import frames_iter
from requests.exceptions import RequestException

from harness.errors import InfraError, MachineError, NoGpuSupportError
from harness.model import Exit, LaunchSpec
from harness.runtimes.base import STDERR, STDOUT, Chunk
from harness.runtimes.docker_options import Terms, options
from harness.runtimes.engine import Engine

ENGINE_ERRORS = (DockerException, RequestException, OSError)
ENDED = ("exited", "dead", "removing")


class DockerRuntime:
    """The real engine, through the `docker` package."""

    name = "docker"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.terms = Terms(os.getuid(), os.getgid(), engine.rootless, engine.remaps_users)

    def start(self, spec: LaunchSpec) -> DockerAttempt:
        """Create, attach, then start: attached before the start, no byte of the log is lost."""
        try:
            container = self.engine.client.containers.create(**options(spec, self.terms))
        except ENGINE_ERRORS as error:
            raise InfraError(f"the container could not be created: {explain(error)}") from error
        attempt = DockerAttempt(self.engine, container)
        try:
            attempt.attach()
            container.start()
        except ENGINE_ERRORS as error:
            attempt.remove()
            raise InfraError(f"the container could not be started: {explain(error)}") from error
        except BaseException:
            attempt.remove()
            raise
        return attempt

    def rehearse(self, spec: LaunchSpec) -> list[str]:
        """Start `spec` with a command that does nothing, to find refusals before the first case.

        Returns what had to be left out. Raises NoGpuSupportError where the engine cannot give the
        container its GPU, and MachineError where it refuses for another reason.
        """
        try:
            self._start_nothing(spec)
        except ENGINE_ERRORS as error:
            if "rlimit" not in str(error):
                raise _refusal(spec, error) from error
        else:
            return []
        self.terms = replace(self.terms, raises_limits=False)
        try:
            self._start_nothing(spec)
        except ENGINE_ERRORS as error:
            raise _refusal(spec, error) from error
        return ["its memlock and stack limits (this engine may not raise them)"]

    def _start_nothing(self, spec: LaunchSpec) -> None:
        nothing = {**options(spec, self.terms), "entrypoint": ["true"], "command": []}
        container = self.engine.client.containers.create(**nothing)
        try:
            container.start()
            container.wait(timeout=60)
        finally:
            with contextlib.suppress(*ENGINE_ERRORS):
                container.remove(force=True, v=True)


def _refusal(spec: LaunchSpec, error: Exception) -> MachineError:
    if spec.device.kind == "gpu":
        return NoGpuSupportError(
            f"the engine cannot give a container the GPU {spec.device.name}: {explain(error)}",
            "install NVIDIA's container toolkit and restart Docker, "
            "or measure in this environment with --runtime local",
        )
    return MachineError(f"the engine refuses to start a case: {explain(error)}")


class DockerAttempt:
    """One container, from its start to its removal."""

    def __init__(self, engine: Engine, container: Container) -> None:
        self.container = container
        self._api = engine.client.api
        self._id = str(container.id)
        self.created = time.time()
        self._socket: Any = None
        self._seen = {STDOUT: 0, STDERR: 0}

    def attach(self) -> None:
        """Open the stream of both outputs; before the start, so that nothing is lost."""
        wanted = {"stdout": 1, "stderr": 1, "stream": 1}
        self._socket = self.container.attach_socket(params=wanted)
        with contextlib.suppress(AttributeError):
            self._socket._sock.settimeout(None)

    def chunks(self) -> Iterator[Chunk]:
        """Raw frames; where the stream ends early (engine restart), the log gives the rest."""
        yield from self._frames()
        if self.running():
            yield from self._rest(STDOUT)
            yield from self._rest(STDERR)

    def _frames(self) -> Iterator[Chunk]:
        try:
            for stream, data in frames_iter(self._socket, tty=False):
                self._seen[stream] += len(data)
                yield stream, data
        except (OSError, ValueError):
            return  # closed by remove(), or cut off: running() tells which

    def _rest(self, stream: int) -> Iterator[Chunk]:
        """What the log holds beyond the bytes seen. Attaching again would lose its first frames."""
        ended = False
        while not ended:
            ended = not self.running()
            known = self._seen[stream]
            only = {"stdout": stream == STDOUT, "stderr": stream == STDERR}
            with contextlib.suppress(*ENGINE_ERRORS):  # a silence ends the read: look, and go on
                for data in self.container.logs(**only, stream=True, follow=not ended):
                    new = data[known:]
                    known = max(0, known - len(data))
                    self._seen[stream] += len(new)
                    if new:
                        yield stream, new

    def running(self) -> bool:
        return str(self._state()["Status"]) not in ENDED

    def stop(self, grace_s: float) -> None:
        try:
            self.container.stop(timeout=round(grace_s))
        except NotFound:
            return
        except ENGINE_ERRORS as error:
            raise InfraError(f"the container could not be stopped: {explain(error)}") from error

    def result(self) -> Exit:
        state = self._state()
        return Exit(
            code=int(state["ExitCode"]),
            oom_killed=bool(state.get("OOMKilled")) or self._oom_event(),
        )

    def _oom_event(self) -> bool:
        """OOMKilled speaks of the first process only on some engines; events speak of all."""
        try:
            events = self._api.events(
                since=int(self.created) - 1,
                until=int(time.time()) + 1,
                filters={"container": self._id, "event": "oom"},
                decode=True,
            )
            return any(True for _ in events)
        except ENGINE_ERRORS:
            return False

    def remove(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError, AttributeError):
                self._socket._sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                self._socket.close()
        with contextlib.suppress(*ENGINE_ERRORS):
            self.container.remove(force=True, v=True)

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = self._api.inspect_container(self._id)["State"]
        except ENGINE_ERRORS as error:
            raise InfraError(f"the engine lost the container: {explain(error)}") from error
        return state


def explain(error: Exception) -> str:
    """The engine's own words in one line."""
    text = error.explanation if isinstance(error, APIError) and error.explanation else str(error)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return " ".join(str(text).split()) or type(error).__name__


def remove_leftovers(engine: Engine, alive: Callable[[Path], bool]) -> list[str]:
    """Remove our containers whose run `alive` denies; returns what they were.

    A container says in its labels which run folder it belongs to; one without belongs to none.
    """
    removed = []
    try:
        ours = engine.client.containers.list(all=True, filters={"label": "harness.run"})
        for container in ours:
            folder = container.labels.get("harness.folder")
            if folder is not None and alive(Path(folder)):
                continue
            container.remove(force=True, v=True)
            case = container.labels.get("harness.case", container.labels["harness.run"])
            removed.append(f"{container.short_id} ({case})")
    except ENGINE_ERRORS as error:
        raise MachineError(f"the engine failed while cleaning: {explain(error)}") from error
    return removed
