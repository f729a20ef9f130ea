"""From a cluster to an executor: every node looked at, and what cannot be used told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from harness.errors import MachineError
from harness.executors.ray.cluster import connected
from harness.executors.ray.executor import RayExecutor, answering
from harness.executors.ray.hosts import Hosts, has_model, models_of
from harness.executors.ray.port import Fleet, Host, Look
from harness.plan import Means

Note = Callable[[str], None]


@contextmanager
def ray_executor(
    means: Means, address: str | None, model: str | None, note: Note
) -> Iterator[RayExecutor]:
    """The Ray cluster at `address`, or this machine's, as what measures.

    `model` is a GPU's; `note` is told what was found. Raises InputError and MachineError.
    """
    with connected(address) as fleet:
        yield placed_on(fleet, means, model, note)


def placed_on(fleet: Fleet, means: Means, model: str | None, note: Note) -> RayExecutor:
    """The fleet as what measures. Raises MachineError where none of its nodes can."""
    with answering():
        there = [host for host in fleet.hosts() if host.alive]
    lending = [host for host in there if host.cpus > 0]
    if not lending:
        raise MachineError(
            f"the cluster lends no processor ({len(there)} nodes)",
            "start nodes with: ray start --address HEAD:6379",
        )
    told = fleet.look(lending)
    looks = {id_: look for id_, look in told.items() if isinstance(look, Look)}
    hosts = Hosts(fleet.hosts, looks)
    refused = _refused(lending, told)
    for host, why in refused.items():
        hosts.refuse(host, why)
        note(f"{host.name} is not used: it {why}")
    usable = [host for host in lending if host not in refused]
    if not usable:
        reasons = "; ".join(f"{host.name} {why}" for host, why in refused.items())
        raise MachineError(
            f"no node of the cluster can measure: {reasons}",
            "pip install '.[ray]' of the same checkout into the Python that runs Ray there",
        )
    _require_model(usable, looks, model)
    for line in [*differences(usable, looks), *unguarded(usable, looks)]:
        note(line)
    return RayExecutor(fleet, hosts, means, looks, model)


def _refused(lending: Sequence[Host], told: Mapping[str, Look | str]) -> dict[Host, str]:
    said = {host: told[host.id] for host in lending}
    return {host: why for host, why in said.items() if isinstance(why, str)}


def _require_model(hosts: Sequence[Host], looks: Mapping[str, Look], model: str | None) -> None:
    """Raise MachineError where no node has a GPU of the model: Ray would wait for one for ever."""
    if model is None or any(has_model(host, looks.get(host.id), model) for host in hosts):
        return
    names = sorted({name for host in hosts for name in models_of(host, looks.get(host.id))})
    lent = sum(host.gpus for host in hosts)
    have = ", ".join(names) if names else (f"{lent} of no known model" if lent else "none")
    raise MachineError(
        f"no node has a GPU {model}; the {len(hosts)} nodes have: {have}",
        "choose one of these with --gpu-model, or see what there is: harness fleet",
    )


COMPARED: tuple[tuple[str, Callable[[Look], str]], ...] = (
    ("harness", lambda look: look.harness),
    ("Python", lambda look: look.python),
    ("engine", lambda look: look.engine or "none"),
    ("driver", lambda look: look.driver or "none"),
    ("images", lambda look: ", ".join(look.images) or "none"),
    ("datasets", lambda look: ", ".join(look.datasets) or "none"),
)
"""What of a node should be the same everywhere, and what it is there."""


def differences(hosts: Sequence[Host], looks: Mapping[str, Look]) -> list[str]:
    """What is not the same on all nodes, a line each; a driver matters where GPUs are alone."""
    found = []
    for what, of in COMPARED:
        on: dict[str, list[str]] = {}
        for host in hosts:
            look = looks.get(host.id)
            if look is not None and (what != "driver" or look.gpus):
                on.setdefault(of(look), []).append(host.name)
        if len(on) > 1:
            told = "; ".join(f"{value} on {', '.join(names)}" for value, names in on.items())
            found.append(f"{what} differs: {told}")
    return found


def unguarded(hosts: Sequence[Host], looks: Mapping[str, Look]) -> list[str]:
    """That nodes ask for no token, told."""
    names = [host.name for host in hosts if (look := looks.get(host.id)) and not look.token]
    if not names:
        return []
    return [
        f"without a token, whoever reaches the ports of {', '.join(names)} can run anything there: "
        "start every node with RAY_AUTH_MODE=token (docs/fleet.md)"
    ]
