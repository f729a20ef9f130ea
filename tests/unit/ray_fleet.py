"""A fleet that plays: real executor, real parcels, the node's side in a thread of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import __version__
from harness.events import OnEvent, Stopped
from harness.executors import Inline
from harness.executors.errand import Errand
from harness.executors.ray.node import Attending
from harness.executors.ray.port import Host, Look, LostError, Wish, Word
from harness.model import Device, LaunchSpec, Record
from harness.plan import Means, plan_elsewhere
from harness.plan.cases import workload_digest
from harness.results.machines import KnownMachine, write_machine
from harness.runner import Place
from harness.runtimes.scripted import Script, ScriptedRuntime
from tests.unit.runs import MACHINE, completing

Befalls = Callable[[Host, Errand], BaseException | None]
"""What an attempt meets on a node: an error that the node's side raises, or LostError."""


class PlayedFleet:
    """Nodes that play scripts. `befalls` says what an attempt meets instead."""

    def __init__(
        self,
        root: Path,
        hosts: Sequence[Host],
        befalls: Befalls = lambda host, errand: None,
        scripts: Callable[[LaunchSpec], Script] = lambda _spec: completing(),
        looks: Mapping[str, Look | str] | None = None,
    ) -> None:
        self.root, self.listed, self.befalls, self.scripts = root, list(hosts), befalls, scripts
        self.looks = looks or {}
        self.made: list[tuple[str, str]] = []
        self.busy: list[str] = []
        self.swept: list[dict[str, str]] = []
        self.lock = threading.Lock()
        self.gone = False

    @property
    def about(self) -> str:
        return f"{len(self.hosts())} played nodes"

    def hosts(self) -> list[Host]:
        if self.gone:
            raise LostError("the cluster does not answer")
        return list(self.listed)

    def look(self, hosts: Sequence[Host]) -> dict[str, Look | str]:
        return {host.id: self.looks.get(host.id, looked()) for host in hosts}

    def start(self, host: Host, errand: Errand, wish: Wish) -> PlayedJob:
        with self.lock:
            assert host.id not in self.busy, "two attempts on one node"
            self.busy.append(host.id)
            self.made.append((host.name, errand.case.id))
        return PlayedJob(self, host, errand, wish)

    def sweep(self, hosts: Sequence[Host], labels: Mapping[str, str]) -> list[str]:
        self.swept.append(dict(labels))
        return []

    def kill(self, host: Host) -> None:
        self.listed = [replace(one, alive=one.alive and one.id != host.id) for one in self.listed]


class PlayedJob:
    def __init__(self, fleet: PlayedFleet, host: Host, errand: Errand, wish: Wish) -> None:
        self.fleet, self.host = fleet, host
        self.attending = Attending(self._measure, lambda labels: [], fleet.root / host.id)
        self.loss: BaseException | None = None
        self.attending.begin(errand.model_dump_json(), replace(wish, gpu=False))

    def _measure(self, errand: Errand, folder: Path, on_event: OnEvent, stopped: Stopped) -> Record:
        met = self.fleet.befalls(self.host, errand)
        if isinstance(met, LostError):
            self.loss = met
        if met is not None:
            raise met
        write_machine(
            folder,
            KnownMachine(label=self.host.name, machine_hash=self.host.id * 9, fingerprint=MACHINE),
        )
        device = Device(kind="cpu")
        means = Means(errand.runtime, folder, budget_s=errand.budget_s)
        planned = plan_elsewhere([errand.case], {errand.case.gpu: device}, means)[0]
        place = Place(
            errand.run_id, self.host.name, errand.repeat, errand.attempt, folder, errand.labels
        )
        playing = Inline(ScriptedRuntime(self.fleet.scripts))
        return playing.attempt(planned, place, on_event, stopped)

    def listen(self, wait_s: float) -> Word | None:
        word = self.attending.listen(wait_s)
        if self.loss is not None:
            raise self.loss
        return word if word.events or word.ended else None

    def stop(self) -> None:
        self.attending.stop()

    def read(self, offset: int) -> bytes:
        return self.attending.read(offset)

    def end(self) -> None:
        with self.fleet.lock:
            self.fleet.busy.remove(self.host.id)


class PlayedRay:
    """Ray with two nodes, whose answers never come. Once it is `broken`, every call raises that."""

    __version__ = "2"

    class exceptions:  # noqa: N801 - as Ray calls it
        class RayError(Exception):
            pass

        class ActorUnavailableError(RayError):
            pass

    def __init__(self) -> None:
        self.broken: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        """Functions, actors, their methods and options: all are called, and answer with it."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_given: object, **_more: object) -> Any:
        if self.broken is not None:
            raise self.broken
        return self

    def nodes(self) -> list[dict[str, Any]]:
        self()
        shown = {"NodeManagerHostname": "node", "NodeManagerAddress": "::1", "Alive": True}
        return [{"NodeID": name * 9, **shown} for name in "ab"]

    def wait(self, refs: list[Any], **_more: object) -> tuple[list[Any], list[Any]]:
        self()
        return [], refs


def looked(**changes: object) -> Look:
    made = Look(
        hostname="h", python="3.11.2", harness=__version__, workload=workload_digest(), token=True
    )
    return made.model_copy(update=changes)


def nodes(count: int, **more: object) -> list[Host]:
    return [Host(id=f"id{n}", name=f"node{n}", **more) for n in range(count)]  # type: ignore[arg-type]
