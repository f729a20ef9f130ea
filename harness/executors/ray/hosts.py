"""Which node measures what: one attempt on each at a time, and what a node cannot do is kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.events import Stopped
from harness.executors.ray.port import Host, Look, Wish, same_model
from harness.model import PlannedCase

LOOK_EVERY_S = 2.0
"""How old the list of nodes may be."""
WAKE_S = 0.25
"""How often one that waits for a node asks whether it is still to wait."""
STRIKES = 3
"""Attempts that a node loses in a row before it gets no more."""


@dataclass(frozen=True)
class Need:
    """What a case asks of a node. One that lacks it may still do others."""

    what: tuple[str, ...]
    wish: Wish

    @classmethod
    def of(cls, case: PlannedCase, model: str | None) -> Need:
        one = case.case
        gpu = case.device.kind == "gpu"
        limit = str(one.overrides.get("memory_limit", ""))
        what = (one.model, one.framework, one.image or "", one.dataset, one.weights, limit)
        return cls(what, Wish(gpu, model if gpu else None))


class Hosts:
    """The nodes of a cluster as one run uses them. Its lanes share it.

    `listed` gives the cluster's nodes as they are now, and may raise LostError.
    """

    def __init__(
        self,
        listed: Callable[[], Sequence[Host]],
        looks: dict[str, Look],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listed = listed
        self._looks = looks
        self._clock = clock
        self._changed = threading.Condition()
        self._hosts: Sequence[Host] = ()
        self._looked_at: float | None = None
        self._busy: set[str] = set()
        self._used: Counter[str] = Counter()
        self._lacking: dict[tuple[str, Need], str] = {}
        self._refused: dict[str, str] = {}
        self._strikes: Counter[str] = Counter()

    def take(self, need: Need, avoid: Iterable[str], stopped: Stopped) -> Host | None:
        """A node for one attempt, to be given back with `release`.

        Waits while all that could are busy. Prefers one that is not among the ids to `avoid`, and
        of those the one that did least. None once `stopped`, or where no node can. Raises
        LostError where the cluster does not answer.
        """
        avoid = set(avoid)
        while not stopped():
            with self._changed:
                self._refresh()
                able = self._able(need)
                if not able:
                    return None
                wanted = [host for host in able if host.id not in avoid] or able
                free = [host for host in wanted if host.id not in self._busy]
                if free:
                    host = min(
                        free,
                        key=lambda one: (one.gpus if not need.wish.gpu else 0, self._used[one.id]),
                    )
                    self._busy.add(host.id)
                    self._used[host.id] += 1
                    return host
                self._changed.wait(WAKE_S)
        return None

    def release(self, host: Host) -> None:
        with self._changed:
            self._busy.discard(host.id)
            self._changed.notify_all()

    def able(self, need: Need) -> list[Host]:
        """The nodes that can, as far as is known now. Raises LostError."""
        with self._changed:
            self._refresh()
            return self._able(need)

    def refuse(self, host: Host, why: str) -> None:
        """Use the node for nothing any more."""
        with self._changed:
            self._refused[host.id] = f"{host.name}: {why}"

    def lacks(self, host: Host, need: Need, why: str) -> bool:
        """Use the node no more for what needs this; False where that was known already."""
        with self._changed:
            told = any(other == why for (one, _), other in self._lacking.items() if one == host.id)
            self._lacking[host.id, need] = why
            return not told

    def lost(self, host: Host) -> bool:
        """An attempt was lost there; True where the node is used no more because of it."""
        with self._changed:
            self._strikes[host.id] += 1
            self._looked_at = None  # it may be gone
            if self._strikes[host.id] < STRIKES or host.id in self._refused:
                return False
            self._refused[host.id] = f"{host.name}: lost {STRIKES} attempts in a row"
            return True

    def kept(self, host: Host) -> None:
        """An attempt ended there as it should."""
        with self._changed:
            self._strikes[host.id] = 0

    def is_alive(self, host: Host) -> bool:
        """Whether the cluster still has the node. Raises LostError."""
        with self._changed:
            self._looked_at = None
            self._refresh()
            return any(one.id == host.id for one in self._hosts)

    def alive(self) -> list[Host]:
        """Raises LostError."""
        with self._changed:
            self._refresh()
            return list(self._hosts)

    def why_none(self, need: Need) -> str:
        """Why no node can do it, node by node."""
        with self._changed:
            reasons = [
                *(why for why in self._refused.values()),
                *(
                    f"{host.name}: {why}"
                    for host in self._hosts
                    if (why := self._lacking.get((host.id, need))) and host.id not in self._refused
                ),
            ]
            wanted = self._wanted(need)
        return f"no node is left that can measure it{wanted}" + _listed(reasons)

    # -------------------------------------------------------------- with the lock held

    def _refresh(self) -> None:
        now = self._clock()
        if self._looked_at is None or now - self._looked_at > LOOK_EVERY_S:
            self._hosts = [host for host in self._listed() if host.alive and host.cpus > 0]
            self._looked_at = now

    def _able(self, need: Need) -> list[Host]:
        return [
            host
            for host in self._hosts
            if host.id not in self._refused
            and (host.id, need) not in self._lacking
            and self._grants(host, need.wish)
        ]

    def _grants(self, host: Host, wish: Wish) -> bool:
        if not wish.gpu:
            return True
        if host.gpus < 1:
            return False
        return wish.model is None or has_model(host, self._looks.get(host.id), wish.model)

    def _wanted(self, need: Need) -> str:
        if not need.wish.gpu:
            return ""
        return f" on a GPU {need.wish.model}" if need.wish.model else " on a GPU"


def has_model(host: Host, look: Look | None, model: str) -> bool:
    """Whether one of the node's GPUs is of the model, by the cluster's label or the card's name."""
    return any(same_model(model, name) for name in models_of(host, look))


def models_of(host: Host, look: Look | None) -> list[str]:
    """What the node's GPUs are called, by NVML and by the cluster's label."""
    names = list(look.gpus) if look is not None else []
    if host.model is not None and not any(same_model(host.model, name) for name in names):
        names.append(host.model)
    return list(dict.fromkeys(names)) if host.gpus else []


def _listed(reasons: Sequence[str], most: int = 8) -> str:
    if not reasons:
        return ""
    more = f"; and {len(reasons) - most} more" if len(reasons) > most else ""
    return ": " + "; ".join(reasons[:most]) + more
