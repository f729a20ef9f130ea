"""Cases in containers of the Docker engine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from docker.errors import NotFound
from docker.models.containers import Container
from docker.utils.socket import frames_iter

from harness.errors import InfraError, MachineError, NoGpuSupportError
from harness.model import Exit, LaunchSpec
from harness.runtimes.base import STDERR, STDOUT, Chunk
from harness.runtimes.containers import find, remove
from harness.runtimes.docker_options import Terms, options
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain, infra

TOOLKIT = ("nvidia-container-runtime-hook", "nvidia-container-runtime", "nvidia-ctk")
HOW_TO_GIVE_A_GPU = (
    "install NVIDIA's container toolkit and restart Docker, "
    "or measure in this environment with --runtime local"
)
ENDED = ("exited", "dead", "removing")
KILLED = (128 + signal.SIGTERM, 128 + signal.SIGKILL)
SETTLING_S = 1.0
"""How long an engine may take to say that a container whose output has ended is over."""


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
            raise infra("the container could not be created", error) from error
        attempt = DockerAttempt(self.engine, container)
        try:
            attempt.attach()
            container.start()
        except ENGINE_ERRORS as error:
            attempt.remove()
            raise infra("the container could not be started", error) from error
        return attempt

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        return remove(find(self.engine, *(f"{name}={value}" for name, value in labels.items())))

    def require_gpu_support(self) -> None:
        """Raise NoGpuSupportError where nothing of NVIDIA's toolkit can be seen.

        Only a glance, before an image is fetched; `rehearse` is what proves it.
        """
        if "nvidia" not in self.engine.runtimes and not any(map(shutil.which, TOOLKIT)):
            raise NoGpuSupportError(
                "the engine cannot give a container a GPU: NVIDIA's container toolkit is not here",
                HOW_TO_GIVE_A_GPU,
            )

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
            HOW_TO_GIVE_A_GPU,
        )
    return MachineError(f"the engine refuses to start a case: {explain(error)}")


class DockerAttempt:
    """One container, from its start to its removal."""

    def __init__(self, engine: Engine, container: Container) -> None:
        self.container = container
        self._engine = engine
        self._api = engine.client.api
        self._id = str(container.id)
        self.created = time.time()
        self._socket: Any = None
        self._seen = {STDOUT: 0, STDERR: 0}
        self._stopped = False

    def attach(self) -> None:
        """Open the stream of both outputs; before the start, so that nothing is lost."""
        wanted = {"stdout": 1, "stderr": 1, "stream": 1}
        self._socket = self.container.attach_socket(params=wanted)
        with contextlib.suppress(AttributeError):
            self._socket._sock.settimeout(None)

    def chunks(self) -> Iterator[Chunk]:
        """Raw frames; where the stream ends early (engine restart), the log gives the rest."""
        yield from self._frames()
        if self._still_running():
            yield from self._rest(STDOUT)
            yield from self._rest(STDERR)

    def _still_running(self) -> bool:
        deadline = time.monotonic() + SETTLING_S
        while self.running():
            if time.monotonic() > deadline:
                return True
            time.sleep(0.02)
        return False

    def _frames(self) -> Iterator[Chunk]:
        try:
            for stream, data in frames_iter(self._socket, tty=False):
                self._seen[stream] += len(data)
                yield stream, data
        except (OSError, ValueError):
            return  # closed by remove(), or cut off: running() tells which

    def _rest(self, stream: int) -> Iterator[Chunk]:
        """What the log holds beyond the bytes seen. Attaching again would lose its first frames.

        The engine keeps a bounded log: where its beginning is gone already, the gap is told.
        """
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
        if known:
            yield (
                stream,
                b"\n[the stream broke off and the engine's log is cut: output is missing]\n",
            )

    def running(self) -> bool:
        return str(self._state()["Status"]) not in ENDED

    def cpu_s(self) -> float | None:
        with contextlib.suppress(*ENGINE_ERRORS, KeyError, TypeError):
            usage = self._api.stats(self._id, stream=False, one_shot=True)
            return float(usage["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9
        return None

    def stop(self, grace_s: float) -> None:
        self._stopped = True
        try:
            self.container.stop(timeout=round(grace_s))
        except NotFound:
            return
        except ENGINE_ERRORS as error:
            raise infra("the container could not be stopped", error) from error

    def result(self) -> Exit:
        state = self._state()
        code = int(state["ExitCode"])
        if code in KILLED and not self._stopped and not self._engine.takes_calls():
            raise InfraError("the engine was stopped, and the container with it", transient=True)
        return Exit(code=code, oom_killed=bool(state.get("OOMKilled")) or self._oom_event())

    def _oom_event(self) -> bool:
        """OOMKilled speaks of the first process only on some engines; events speak of all."""
        try:
            events = self._api.events(
                since=int(self.created) - 1,
                until=cast(Any, f"{time.time():.3f}"),  # not later, or the engine waits for it
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
            what = f"the engine lost the container: {explain(error)}"
            raise InfraError(what, transient=True) from error
        return state
