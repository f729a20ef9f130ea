"""Whether an engine can give a container its GPU at all: a glance, before an image is fetched."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from harness.errors import NoGpuSupportError
from harness.host.amd import device_nodes
from harness.model import Device
from harness.runtimes.cdi import device_names, nvidia_device
from harness.runtimes.dialects import DIALECTS, DOCKER, PODMAN
from harness.runtimes.engine import Engine

TOOLKIT = ("nvidia-container-runtime-hook", "nvidia-container-runtime", "nvidia-ctk")
PODMAN_WITH_GPUS = (5, 4)
"""Before it, Podman's Docker-compatible socket takes a request for a GPU and does nothing."""


def require_gpu_support(engine: Engine, devices: Iterable[Device]) -> None:
    """Raise NoGpuSupportError for the first device that the engine cannot give, as far as is seen.

    Only a container that starts with it proves that it can.
    """
    for device in devices:
        if device.kind == "gpu":
            vendor = "amd" if device.vendor == "amd" else "nvidia"
            _GLANCES[engine.kind, vendor](engine, device)


def _docker_nvidia(engine: Engine, _: Device) -> None:
    if "nvidia" not in engine.runtimes and not any(map(shutil.which, TOOLKIT)):
        raise NoGpuSupportError(
            "the engine cannot give a container a GPU: NVIDIA's container toolkit is not here",
            DOCKER.gpu_step,
        )


def _podman_nvidia(engine: Engine, device: Device) -> None:
    numbers = tuple(map(int, re.findall(r"\d+", engine.version)[:2]))
    if numbers < PODMAN_WITH_GPUS:
        raise NoGpuSupportError(
            f"Podman {engine.version} cannot give a container a GPU: before 5.4 its socket ignores "
            "the request, and the case would compute on the processor",
            "install Podman 5.4 or newer, or use --runtime docker or local",
        )
    wanted = nvidia_device(str(device.uuid))
    if wanted not in device_names():
        raise NoGpuSupportError(
            f"Podman cannot give a container a GPU: no CDI file here describes {wanted}",
            PODMAN.gpu_step,
        )


def _amd(engine: Engine, device: Device) -> None:
    try:
        nodes = device_nodes(str(device.uuid))
    except LookupError as error:
        raise NoGpuSupportError(
            f"a container cannot have the GPU {device.name}: {error}",
            "load the kernel module amdgpu until /dev/kfd and /dev/dri are there",
        ) from error
    if not engine.rootless:
        return
    # A rootless engine can give no more than its user has, and Docker's not even all of that.
    may_open = _may_open if DIALECTS[engine.kind].callers_groups else _may_open_without_groups
    closed = [path for path in nodes.paths if not may_open(path)]
    if closed:
        raise NoGpuSupportError(
            f"this user may not open {closed[0]}, so that no container of a rootless engine can",
            "add the user to the groups video and render, and log in again",
        )


def _may_open(path: str) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _may_open_without_groups(path: str) -> bool:
    """As its owner, as anybody, or (an access list tells neither whom nor what) perhaps by name."""
    about = Path(path).stat()
    if about.st_uid == os.geteuid() or about.st_mode & 0o006 == 0o006:
        return _may_open(path)
    return "system.posix_acl_access" in os.listxattr(path) and _may_open(path)


_GLANCES: Mapping[tuple[str, str], Callable[[Engine, Device], None]] = {
    ("docker", "nvidia"): _docker_nvidia,
    ("docker", "amd"): _amd,
    ("podman", "nvidia"): _podman_nvidia,
    ("podman", "amd"): _amd,
}
