"""What the fleet's executor needs of a cluster, so that tests and a benchmark can play one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.events import Event
from harness.executors.errand import Errand
from harness.model import Frozen


class LostError(Exception):
    """An attempt's node or process is gone; `transient` where another attempt is worth it."""

    def __init__(self, message: str, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class LackingError(Exception):
    """A node cannot measure a case: it lacks something. Nothing was measured there."""


@dataclass(frozen=True)
class Host:
    """A node as the cluster lists it.

    `cpus` and `gpus` are what it lends; `model` is its GPU's as the cluster labels it, and `whole`
    the resource that each node has once, by which a task can have the node to itself.
    """

    id: str
    name: str
    cpus: int = 1
    gpus: int = 0
    model: str | None = None
    alive: bool = True
    whole: str | None = None


class Look(Frozen):
    """What a node says of itself; `workload` is the digest of its benchmark's code."""

    hostname: str
    python: str
    harness: str
    workload: str
    token: bool
    gpus: tuple[str, ...] = ()
    vendor: str | None = None
    driver: str | None = None
    engine: str | None = None
    images: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    cpus: int = 0


@dataclass(frozen=True)
class Wish:
    """What an attempt wants of its node: a GPU, and of which model."""

    gpu: bool
    model: str | None = None


@dataclass(frozen=True)
class Ended:
    """How an attempt ended on its node: `size` bytes wait to be fetched, or what kept it.

    `lacks`: the node cannot measure the case. `failed`: the harness itself failed there.
    """

    size: int = 0
    lacks: str | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Word:
    """What came from a node: events, and how the attempt ended once it has."""

    events: tuple[Event, ...] = ()
    ended: Ended | None = None


class Job(Protocol):
    """An attempt under way on a node. Every method but `end` may raise LostError."""

    def listen(self, wait_s: float) -> Word | None:
        """What has come; None where nothing came within `wait_s`."""

    def stop(self) -> None:
        """Ask the attempt to end. It is recorded as interrupted then."""

    def read(self, offset: int) -> bytes:
        """The next bytes of the attempt's parcel; none at its end."""

    def end(self) -> None:
        """Let go of the node; what still runs of the attempt is killed. Never raises."""


class Fleet(Protocol):
    """A cluster that this process is connected to."""

    @property
    def about(self) -> str:
        """What it is, in the words that run.json keeps. Raises LostError."""

    def hosts(self) -> Sequence[Host]:
        """All nodes, dead ones too. Raises LostError where the cluster does not answer."""

    def look(self, hosts: Sequence[Host]) -> Mapping[str, Look | str]:
        """What the nodes say of themselves, by id; or in a sentence why one does not."""

    def start(self, host: Host, errand: Errand, wish: Wish) -> Job:
        """Send an attempt to a node, where it waits until the node has room. Raises LostError."""

    def sweep(self, hosts: Sequence[Host], labels: Mapping[str, str]) -> list[str]:
        """Remove what dead attempts with these labels left on the nodes; what that was.

        Raises LostError.
        """


Note = Callable[[str], None]


def same_model(wanted: str, name: str) -> bool:
    """Whether `name`, a GPU's, is the model: ``A100`` is ``NVIDIA A100-SXM4-40GB``, no ``A10``."""
    return set(_words(wanted)) <= set(_words(name))


def _words(name: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in name.lower()).split()
