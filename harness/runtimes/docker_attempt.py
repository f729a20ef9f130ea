"""One case in a container, from its start to its removal."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.utils.socket import frames_iter

from harness.errors import InfraError
from harness.model import Exit
from harness.runtimes.base import STDERR, STDOUT, Chunk, FirstProcess
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain, infra
from harness.runtimes.kernel_log import killed_for_memory

ENDED = ("exited", "dead", "removing")
KILLED = (128 + signal.SIGTERM, 128 + signal.SIGKILL)
SETTLING_S = 1.0
"""How long an engine may take to say that a container whose output has ended is over."""

REMOVAL_PAUSES_S = (0.2, 1.0, 3.0, 0.0)
"""An engine under load refuses a removal for a moment: a process takes its time, or a mount."""

BETWEEN_CLOCKS_S = 0.05
"""How much later than its stream a container may end that has written all."""


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
        moment = time.time()
        if not self._settled() or self._outlived(moment):
            yield from self._rest(STDOUT, moment)
            yield from self._rest(STDERR, moment)

    def _settled(self) -> bool:
        """Whether the engine says soon that the container is over."""
        deadline = time.monotonic() + SETTLING_S
        while self.running():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _outlived(self, moment: float) -> bool:
        """Whether the container, now over, ran on after its stream had ended at `moment`."""
        ended = _seconds(str(self._state().get("FinishedAt")))
        return ended is not None and ended > moment + BETWEEN_CLOCKS_S

    def _frames(self) -> Iterator[Chunk]:
        try:
            for stream, data in frames_iter(self._socket, tty=False):
                self._seen[stream] += len(data)
                yield stream, data
        except (OSError, ValueError):
            return  # closed by remove(), or cut off: running() tells which

    def _rest(self, stream: int, moment: float) -> Iterator[Chunk]:
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
        if known and self._outlived(moment):  # an engine may also be late to say that it is over
            yield (
                stream,
                b"\n[the stream broke off and the engine's log is cut: output is missing]\n",
            )

    def running(self) -> bool:
        return str(self._state()["Status"]) not in ENDED

    def cpu_s(self) -> float | None:
        if not self._engine.limits:
            return None  # it says 0, and a case at work would look idle
        with contextlib.suppress(*ENGINE_ERRORS, KeyError, TypeError):
            usage = self._api.stats(self._id, stream=False, one_shot=True)
            return float(usage["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9
        return None

    def first_process(self) -> FirstProcess | None:
        pid = int(self._state().get("Pid") or 0)
        return FirstProcess(pid, self._id) if pid else None

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
        told = bool(state.get("OOMKilled")) or self._oom_event()
        return Exit(code=code, oom_killed=told or killed_for_memory(self._id))

    def _oom_event(self) -> bool:
        """OOMKilled speaks of the first process only on some engines; Docker's events of all."""
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
        for pause_s in REMOVAL_PAUSES_S:
            try:
                self.container.remove(force=True, v=True)
            except NotFound:
                return
            except APIError:
                time.sleep(pause_s)
            except ENGINE_ERRORS:
                return  # it is away: whoever comes next sweeps
            else:
                return

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = self._api.inspect_container(self._id)["State"]
        except ENGINE_ERRORS as error:
            what = f"the engine lost the container: {explain(error)}"
            raise InfraError(what, transient=True) from error
        return state


def _seconds(moment: str) -> float | None:
    """``2026-11-24T15:15:09.126716422Z`` as seconds since 1970; None where it is written otherwise.

    Python reads no more than six digits of a second.
    """
    with contextlib.suppress(ValueError):
        whole = re.sub(r"\.(\d{1,6})\d*", lambda found: "." + found[1].ljust(6, "0"), moment)
        return datetime.fromisoformat(whole.replace("Z", "+00:00")).timestamp()
    return None
