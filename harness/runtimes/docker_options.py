"""From a LaunchSpec to the arguments of the Docker SDK: the one translator, pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from harness.host.amd import DeviceNodes
from harness.model import Device, LaunchSpec
from harness.runtimes.cdi import nvidia_device
from harness.runtimes.command import DATA, OUT, WEIGHTS, WORKLOAD, arguments, environment, visible
from harness.runtimes.dialects import DOCKER, Dialect

SCRATCH = "/tmp"  # noqa: S108 - the container's own tmpfs
SHM_BYTES = 1 << 30
STACK_BYTES = 64 << 20
TMP_OPTIONS = "rw,nosuid,nodev,exec,size=2g,mode=1777"
"""With exec, which engines take away unless told: PyTorch and Triton load what they compile."""
PIDS = 4096
LOG_LIMITS = {"max-size": "16m", "max-file": "2"}


@dataclass(frozen=True)
class Terms:
    """Whom the container's process is on this machine, and what its engine grants.

    `raises_limits`: it may raise NVIDIA's memlock and stack limits; `limits`: it can limit what a
    container uses; `selinux`: it labels containers.
    """

    uid: int
    gid: int
    rootless: bool = False
    remaps_users: bool = False
    raises_limits: bool = True
    limits: bool = True
    selinux: bool = False
    dialect: Dialect = DOCKER

    @property
    def user(self) -> str:
        """A rootless engine maps its root to the caller already."""
        return "0:0" if self.rootless else f"{self.uid}:{self.gid}"


NO_NODES = DeviceNodes((), ())


def options(spec: LaunchSpec, terms: Terms, nodes: DeviceNodes = NO_NODES) -> dict[str, Any]:
    """Keyword arguments of ``containers.create``: least privilege, one writable folder.

    `nodes` are the device's own, for a card that is given by them (AMD's).
    """
    wanted: dict[str, Any] = {
        "image": spec.image,
        "command": arguments(
            "python3", WORKLOAD, OUT, DATA, WEIGHTS if spec.weights is not None else None
        ),
        "environment": {**environment(spec.device, SCRATCH), **_shown(spec.device), **spec.env},
        "mounts": list(_mounts(spec)),
        "labels": dict(spec.labels),
        "user": terms.user,
        "working_dir": SCRATCH,
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": _security(terms),
        "read_only": True,
        "tmpfs": {SCRATCH: TMP_OPTIONS},
        "shm_size": SHM_BYTES,
        "log_config": LogConfig(
            type=terms.dialect.log_driver, config={**LOG_LIMITS, **terms.dialect.log_options}
        ),
        "device_requests": device_requests(spec.device, terms.dialect),
    }
    if terms.limits:
        wanted["pids_limit"] = PIDS
    if nodes.paths:
        wanted["devices"] = [f"{path}:{path}:rw" for path in nodes.paths]
        wanted["group_add"] = _groups(nodes, terms)
    if terms.raises_limits:
        wanted["ulimits"] = [
            Ulimit(name="memlock", soft=-1, hard=-1),
            Ulimit(name="stack", soft=STACK_BYTES, hard=STACK_BYTES),
        ]
    if terms.remaps_users:
        wanted["userns_mode"] = "host"
    if spec.memory_limit is not None:
        # Equal limits leave no swap: a case that outgrows its memory must end, not crawl.
        wanted["mem_limit"] = wanted["memswap_limit"] = spec.memory_limit
    return wanted


def device_requests(device: Device, dialect: Dialect = DOCKER) -> list[DeviceRequest]:
    """NVIDIA's GPU by its UUID, since tools count indices in different orders."""
    if device.kind != "gpu" or device.uuid is None or device.vendor == "amd":
        return []
    if dialect.gpu_driver is None:
        capabilities = [["gpu", "utility", "compute"]]
        return [DeviceRequest(device_ids=[device.uuid], capabilities=capabilities)]
    return [DeviceRequest(driver=dialect.gpu_driver, device_ids=[nvidia_device(device.uuid)])]


def _shown(device: Device) -> dict[str, str]:
    # NVIDIA's request shows one card alone; that AMD's node does is not promised anywhere.
    return visible(device) if device.vendor == "amd" else {}


def _security(terms: Terms) -> list[str]:
    """No privilege is gained; and SELinux, where it is on, leaves the labels of files alone.

    The other way would be to relabel the mounted folders, which changes the user's datasets for
    good, and which only their owner can do. What SELinux would have kept from the container is kept
    by no network, no capability, read-only mounts and the caller's own rights.
    """
    return ["no-new-privileges", *(["label=disable"] if terms.selinux else [])]


def _groups(nodes: DeviceNodes, terms: Terms) -> list[str]:
    """The groups that may open the nodes; a rootless engine can give only those of the caller."""
    return list(terms.dialect.callers_groups) if terms.rootless else [*map(str, nodes.groups)]


def _mounts(spec: LaunchSpec) -> list[Mount]:
    # Mount, not volumes=: a source that is missing fails instead of becoming an empty folder.
    read_only: list[tuple[str, Path | None]] = [
        (WORKLOAD, spec.workload),
        (DATA, spec.data),
        (WEIGHTS, spec.weights),
    ]
    mounts = [
        Mount(target, str(source), type="bind", read_only=True)
        for target, source in read_only
        if source is not None
    ]
    return [*mounts, Mount(OUT, str(spec.out), type="bind")]
