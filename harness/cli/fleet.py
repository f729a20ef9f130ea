"""``harness fleet``: the nodes of a Ray cluster, and what differs between them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli import options
from harness.errors import InputError, MachineError

if TYPE_CHECKING:
    from harness.executors.ray.port import Host, Look


def fleet(
    address: options.Address = None,
    form: Annotated[str, typer.Option("--format", metavar="table|json", help="How.")] = "table",
) -> None:
    """Show the nodes of a fleet: GPUs, versions, images and data there, and what differs."""
    from harness.executors.ray.cluster import connected
    from harness.executors.ray.fleet import differences, unguarded
    from harness.executors.ray.port import Look, LostError
    from harness.matrix.names import known_name

    try:
        known_name("format", form, ("table", "json"))
    except ValueError as error:
        raise InputError(str(error)) from error
    with connected(address) as cluster:
        try:
            hosts = cluster.hosts()
        except LostError as lost:
            raise MachineError(str(lost), "see that the head is alive: ray status") from lost
        there = [host for host in hosts if host.alive]
        told = cluster.look(there)
    looks = {id_: look for id_, look in told.items() if isinstance(look, Look)}
    notes = [*differences(there, looks), *unguarded(there, looks)]
    if form == "json":
        nodes = [_as_json(host, told.get(host.id)) for host in hosts]
        typer.echo(json.dumps({"nodes": nodes, "notes": notes}, indent=2))
        return
    typer.echo(_table(hosts, told))
    for note in notes:
        typer.echo(note)


HEADERS = ("node", "state", "CPUs", "GPUs", "harness", "Python", "engine", "images", "data")


def _table(hosts: Sequence[Host], told: Mapping[str, Look | str]) -> str:
    from tabulate import tabulate

    return tabulate([_row(host, told.get(host.id)) for host in hosts], headers=HEADERS)


def _row(host: Host, look: Look | str | None) -> list[object]:
    from harness.executors.ray.hosts import models_of

    if look is None or isinstance(look, str):
        gpus = f"{host.gpus} {host.model or ''}".strip()
        return [host.name, look or "dead", host.cpus, gpus, *[""] * 5]
    names = ", ".join(models_of(host, look))
    return [
        host.name,
        "alive" if host.cpus else "alive, lends no CPU: not used",
        host.cpus,
        f"{host.gpus} {names}".strip(),
        look.harness,
        look.python,
        look.engine or "none",
        ", ".join(look.images) or "none",
        ", ".join(look.datasets) or "none",
    ]


def _as_json(host: Host, look: Look | str | None) -> dict[str, Any]:
    from dataclasses import asdict

    listed = {key: value for key, value in asdict(host).items() if key != "whole"}
    if look is None or isinstance(look, str):
        return {**listed, "problem": look}
    return {
        **listed,
        **look.model_dump(mode="json", exclude={"cpus", "gpus"}),
        "gpu_names": look.gpus,
    }
