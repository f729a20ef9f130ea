"""Which runtime the cases run in, and why."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.catalog import images
from harness.errors import (
    InputError,
    MachineError,
    NoEngineError,
    NoFrameworkError,
    NoGpuSupportError,
    NoImageError,
)
from harness.images import ImageHere, ensure
from harness.model import Device, LaunchSpec
from harness.plan.cases import workload_folder
from harness.runtimes import local
from harness.runtimes.base import Runtime
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import connect

NAMES = ("auto", "docker", "local")

_HAS_ALL = "an engine answers and has what the cases need"


@dataclass(frozen=True)
class Need:
    """What one case asks of a runtime. `image` is the catalog's name for it."""

    framework: str
    image: str
    device: Device
    asked_for_image: bool
    memory_limit: int | None


@dataclass(frozen=True)
class Chosen:
    """The runtime, the reason for the record, and the images by their catalog names."""

    runtime: Runtime
    reason: str
    images: Mapping[str, ImageHere] = field(default_factory=dict)


def choose_runtime(
    request: str, needs: Iterable[Need], on_progress: Callable[[str], None], scratch: Path
) -> Chosen:
    """Docker where everything it needs is to be had, else this environment, for ``auto``.

    `scratch` is a folder that the engine can see, for a container that does nothing. Raises
    MachineError (or what the runtime asked for raises) where there is none.
    """
    needs = list(needs)
    if request == "docker":
        return _docker(needs, "asked for", on_progress, scratch)
    if request == "local":
        return _local(needs, "asked for")
    try:
        return _docker(needs, _HAS_ALL, on_progress, scratch)
    except (NoEngineError, NoImageError, NoGpuSupportError) as error:
        why = error
    try:
        return _local(needs, why.message.splitlines()[0])
    except (NoFrameworkError, InputError) as error:
        raise MachineError(
            f"{why.message}; and without a container: {error.message}",
            f"{why.next_step}; or: {error.next_step}",
        ) from error


def _docker(
    needs: list[Need], reason: str, on_progress: Callable[[str], None], scratch: Path
) -> Chosen:
    runtime = DockerRuntime(connect())
    if any(need.device.kind == "gpu" for need in needs):
        runtime.require_gpu_support()  # before some gigabytes are pulled in vain
    catalog = images()
    here = {
        name: ensure(runtime.engine, name, catalog[name], on_progress)
        for name in dict.fromkeys(need.image for need in needs)
    }
    left_out: list[str] = []
    for need in needs:
        left_out += _rehearse(runtime, here[need.image].id, need, scratch)
    told = "".join(f"; without {what}" for what in dict.fromkeys(left_out))
    return Chosen(runtime, reason + told, here)


def _rehearse(runtime: DockerRuntime, image: str, need: Need, scratch: Path) -> list[str]:
    with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=scratch) as out:
        return runtime.rehearse(
            LaunchSpec(
                workload=workload_folder(),
                out=Path(out),
                data=None,
                weights=None,
                device=need.device,
                image=image,
                env={},
                memory_limit=need.memory_limit,
                labels={"harness.run": "rehearsal"},
            )
        )


def _local(needs: Iterable[Need], reason: str) -> Chosen:
    require_local(needs)
    return Chosen(local.LocalRuntime(), reason)


def require_local(needs: Iterable[Need]) -> None:
    """Raise InputError or NoFrameworkError where the cases cannot run in this environment."""
    for need in needs:
        if need.asked_for_image:
            raise InputError(
                f"the matrix names the image {need.image}, and the runtime local has no images",
                "leave the image out, or use --runtime docker",
            )
        if need.memory_limit is not None:
            raise InputError(
                "the matrix limits memory, and the runtime local cannot",
                "leave memory_limit out, or use --runtime docker",
            )
        local.require(need.framework)
