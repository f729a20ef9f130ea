"""A Ray cluster behind the fleet's port. Every word that is Ray's own stands in this module."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from harness.errors import InputError, MachineError
from harness.executors.errand import Errand
from harness.executors.ray.port import Host, Look, LostError, Wish, Word

ACCELERATOR = "ray.io/accelerator-type"
POLL_S = 5.0
"""How long a question to a node waits there for something to tell."""
LOOK_S = 60.0
"""How long nodes may take to say what they are, a worker's start included."""
SWEEP_S = 60.0
READ_S = 60.0
REACH_S = 5.0
MOST_OF_A_NODE = 0.51
"""Of the resource that each node has once: nobody else can have as much at the same time."""

NOT_INSTALLED = MachineError(
    "the executor ray needs Ray, which is not installed here",
    "pip install '.[ray]' in the checkout, or the wheel with [ray] (docs/fleet.md)",
)
START = "start one: RAY_AUTH_MODE=token ray start --head, and docs/fleet.md for the other machines"


@contextmanager
def connected(address: str | None) -> Iterator[RayFleet]:
    """The cluster at `address`, or the one that this machine belongs to.

    Raises InputError for no address, and MachineError where none answers there.
    """
    _require_reachable(address)
    # Ray reads these when it is loaded. Its log of a fleet would fold different nodes' lines into
    # one, and without a token whoever reaches its ports can run what he likes.
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    # What still runs once the connection is closed must not open one by itself.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    try:
        import ray
    except ImportError as error:
        raise NOT_INSTALLED from error
    with _own_signals():
        _connect(ray, address)
    try:
        yield RayFleet(ray)
    finally:
        ray.shutdown()  # this process's connection; the cluster goes on


def _connect(ray: Any, address: str | None) -> None:
    try:
        ray.init(
            address=address or "auto",
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            namespace="harness",
        )
    except ray.exceptions.AuthenticationError as error:
        raise MachineError(
            f"the Ray cluster{_at(address)} and this process do not share a token: "
            f"{_sentence(error).split('. ')[0]}",
            "bring the cluster's token here (ray get-auth-token prints it there; "
            "~/.ray/auth_token or RAY_AUTH_TOKEN_PATH holds it here), and start every node with "
            "RAY_AUTH_MODE=token: docs/fleet.md",
        ) from error
    except (ConnectionError, OSError) as error:
        raise MachineError(f"no Ray cluster answers{_at(address)}", START) from error
    except (RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if "Version mismatch" in str(error):
            said = " ".join(str(error).split())
            raise MachineError(
                f"the Ray cluster{_at(address)} runs on other versions than this process: {said}",
                "use the same Python (3.x) and Ray on every machine",
            ) from error
        raise MachineError(
            f"the Ray cluster{_at(address)} refused: {_sentence(error)}",
            "run this on a machine of the cluster, or name its ray://HOST:10001",
        ) from error


def _at(address: str | None) -> str:
    return f" at {address}" if address else ""


def _require_reachable(address: str | None) -> None:
    """Ray tries for minutes where nobody listens. Raises InputError and MachineError."""
    if address in (None, "auto"):
        return
    found = re.fullmatch(r"(?:ray://)?\[?([^\[\]/@]+?)\]?:(\d{1,5})", address or "")
    if found is None or not 0 < int(found[2]) < 65536:
        raise InputError(
            f"--address {address!r} is no address of a Ray cluster",
            "HOST:6379 on a machine of the cluster, ray://HOST:10001 elsewhere, or auto",
        )
    try:
        socket.create_connection((found[1], int(found[2])), REACH_S).close()
    except OSError as error:
        raise MachineError(
            f"no Ray cluster answers{_at(address)} ({error.strerror or error})", START
        ) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes TERM for itself while it connects; the harness ends cases first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _reached() -> Iterator[None]:
    """Raises LostError for whatever goes wrong within.

    A line that broke is a ConnectionError, an error of gRPC's or a bare Exception, as it happens.
    """
    try:
        yield
    except LostError:
        raise
    except Exception as error:
        raise LostError(f"the Ray cluster does not answer: {_sentence(error)}") from error


class RayFleet:
    """The cluster that Ray is connected to."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._remote_look = ray.remote(_look())
        self._remote_sweep = ray.remote(_sweep())
        self._attendant = ray.remote(_attendant())

    @property
    def about(self) -> str:
        alive = sum(host.alive for host in self.hosts())
        return f"{alive} nodes of a Ray cluster (Ray {self._ray.__version__})"

    def hosts(self) -> list[Host]:
        with _reached():
            nodes = self._ray.nodes()
        names = Counter(node["NodeManagerHostname"] for node in nodes if node["Alive"])
        return [_host(node, names[node["NodeManagerHostname"]] > 1) for node in nodes]

    def look(self, hosts: Sequence[Host]) -> dict[str, Look | str]:
        found: dict[str, Look | str] = {}
        without = f"did not say within {LOOK_S:.0f} s what it is"
        try:
            with _reached():
                asked = {self._on(self._remote_look, host).remote(): host for host in hosts}
                for ref, host in self._answers(asked, LOOK_S):
                    found[host.id] = self._looked(ref)
        except LostError as lost:
            without = f"cannot be looked at: {lost}"
        return {host.id: found.get(host.id, without) for host in hosts}

    def _looked(self, ref: Any) -> Look | str:
        try:
            return _seen(json.loads(self._ray.get(ref)))
        except Exception as error:
            return f"cannot be looked at: {_sentence(error)}"

    @_reached()
    def start(self, host: Host, errand: Errand, wish: Wish) -> _RayJob:
        needed = {host.whole: MOST_OF_A_NODE} if host.whole is not None else {}
        options = self._placed(host) | {
            "num_cpus": 1,
            "num_gpus": 1 if wish.gpu else 0,
            "resources": needed,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 4,
        }
        actor = self._attendant.options(**options).remote(errand.model_dump_json(), wish)
        return _RayJob(self._ray, actor, lambda: self._is_gone(host))

    @_reached()
    def sweep(self, hosts: Sequence[Host], labels: Mapping[str, str]) -> list[str]:
        asked = {self._on(self._remote_sweep, host).remote(dict(labels)): host for host in hosts}
        removed: list[str] = []
        for ref, host in self._answers(asked, SWEEP_S):
            with contextlib.suppress(Exception):  # a node that is gone has nothing to tidy up
                removed += [f"{what} on {host.name}" for what in self._ray.get(ref)]
        return removed

    def _answers(self, asked: Mapping[Any, Host], timeout: float) -> Iterator[tuple[Any, Host]]:
        """What has come in time; the rest is given up."""
        if not asked:
            return
        ready, late = self._ray.wait(list(asked), num_returns=len(asked), timeout=timeout)
        for ref in late:
            self._ray.cancel(ref, force=True)
        for ref in ready:
            yield ref, asked[ref]

    def _on(self, function: Any, host: Host) -> Any:
        """The function bound to a node, whatever runs there, and never tried twice."""
        once = {"num_cpus": 0, "max_retries": 0, "retry_exceptions": False}
        return function.options(**self._placed(host), **once)

    def _placed(self, host: Host) -> dict[str, Any]:
        """Bound to the node hard: a label that no node has any more would be waited for."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(host.id, soft=False)}

    def _is_gone(self, host: Host) -> bool:
        with contextlib.suppress(LostError):
            return not any(one.id == host.id and one.alive for one in self.hosts())
        return False


class _RayJob:
    """An attempt in an actor of its own, so that it can be asked while it works."""

    def __init__(self, ray: Any, actor: Any, is_gone: Callable[[], bool]) -> None:
        self._ray, self._actor, self._is_gone = ray, actor, is_gone
        self._pending = actor.listen.remote(POLL_S)

    @_reached()
    def listen(self, wait_s: float) -> Word | None:
        ready, _ = self._ray.wait([self._pending], timeout=wait_s)
        if not ready:
            return None
        word: Word | None = self._got(self._pending)
        if word is None or word.ended is None:
            self._pending = self._actor.listen.remote(POLL_S)
        return word

    @_reached()
    def stop(self) -> None:
        self._actor.stop.remote()

    @_reached()
    def read(self, offset: int) -> bytes:
        ref = self._actor.read.remote(offset)
        if not self._ray.wait([ref], timeout=READ_S)[0]:
            raise LostError(f"its folder did not come within {READ_S:.0f} s")
        data = self._got(ref)
        return data if isinstance(data, bytes) else b""

    def end(self) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(self._actor, no_restart=True)

    def _got(self, ref: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(ref)
        except errors.ActorUnavailableError:
            return None  # the line to it broke for a moment; silence has its own end
        except errors.RayError as error:
            if self._is_gone():
                raise LostError("the node is gone") from error
            raise LostError(f"its process is gone: {_sentence(error)}") from error


# ------------------------------------------------------------------ what travels by value


def _look() -> Callable[[], str]:
    """A function that travels whole, since a node may have another harness, or none."""

    def look() -> str:
        import json
        import sys

        try:
            from harness.executors.ray.node import look_here
        except ImportError as error:
            return json.dumps({"python": sys.version.split()[0], "lacking": str(error)})
        return look_here().model_dump_json()

    return look


def _sweep() -> Callable[[dict[str, str]], list[str]]:
    def sweep(labels: dict[str, str]) -> list[str]:
        from harness.executors.ray.node import sweep_here

        return sweep_here(labels)

    return sweep


def _attendant() -> type:
    class Attendant:
        def __init__(self, errand: str, wish: Any) -> None:
            from harness.executors.ray.node import Attending

            self._attending = Attending()
            self._attending.begin(errand, wish)

        def listen(self, wait_s: float) -> Any:
            return self._attending.listen(wait_s)

        def stop(self) -> None:
            self._attending.stop()

        def read(self, offset: int) -> bytes:
            return self._attending.read(offset)

    return Attendant


# ------------------------------------------------------------------ from Ray's words


def _host(node: Mapping[str, Any], shared: bool) -> Host:
    resources, labels = node.get("Resources") or {}, node.get("Labels") or {}
    whole = [n for n in resources if n.startswith("node:") and not n.startswith("node:__")]
    kinds = [n.split(":", 1)[1] for n in resources if n.startswith("accelerator_type:")]
    name = node["NodeManagerHostname"] or node["NodeManagerAddress"]
    return Host(
        id=node["NodeID"],
        name=f"{name}/{node['NodeID'][:6]}" if shared else name,
        cpus=int(resources.get("CPU", 0)),
        gpus=int(resources.get("GPU", 0)),
        model=labels.get(ACCELERATOR) or next(iter(kinds), None),
        alive=bool(node["Alive"]),
        whole=next(iter(whole), None),
    )


def _seen(told: Mapping[str, Any]) -> Look | str:
    from harness import __version__
    from harness.plan.cases import workload_digest

    if "lacking" in told:
        return f"has no harness that takes attempts (Python {told['python']}: {told['lacking']})"
    if told.get("workload") != workload_digest():
        return (
            f"its harness ({told.get('harness')}) measures another benchmark than this one "
            f"({__version__}): install the same version on both"
        )
    try:
        return Look.model_validate(told)
    except ValidationError:
        return f"its harness ({told.get('harness')}) is another than this one ({__version__})"


def _sentence(error: BaseException) -> str:
    """The part of Ray's words that says what happened, in one line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)) or type(error).__name__
    found = re.search(r"(The actor (?:is dead|died) because[^.\n]*)", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (found[1] if found else " ".join(lines))[:300]
