"""From a LaunchSpec to the arguments of the Docker SDK: the one translator, pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from harness.model import Device, LaunchSpec
from harness.runtimes.command import arguments, environment

WORKLOAD, OUT, DATA, WEIGHTS = (
    f"/harness/{name}" for name in ("workload", "out", "data", "weights")
)

SCRATCH = "/tmp"  # noqa: S108 - the container's own tmpfs
SHM_BYTES = 1 << 30
STACK_BYTES = 64 << 20
TMP_OPTIONS = "rw,nosuid,nodev,size=2g,mode=1777"
PIDS = 4096
LOG_LIMITS = {"max-size": "16m", "max-file": "2"}


@dataclass(frozen=True)
class Terms:
    """Whom the container's process is on this machine, and what its engine grants."""

    uid: int
    gid: int
    rootless: bool = False
    remaps_users: bool = False
    raises_limits: bool = True

    @property
    def user(self) -> str:
        """A rootless engine maps its root to the caller already."""
        return "0:0" if self.rootless else f"{self.uid}:{self.gid}"


def options(spec: LaunchSpec, terms: Terms) -> dict[str, Any]:
    """Keyword arguments of ``containers.create``: least privilege, one writable folder."""
    wanted: dict[str, Any] = {
        "image": spec.image,
        "command": arguments(
            "python3", WORKLOAD, OUT, DATA, WEIGHTS if spec.weights is not None else None
        ),
        "environment": {**environment(spec.device, SCRATCH), **spec.env},
        "mounts": list(_mounts(spec)),
        "labels": dict(spec.labels),
        "user": terms.user,
        "working_dir": SCRATCH,
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "tmpfs": {SCRATCH: TMP_OPTIONS},
        "pids_limit": PIDS,
        "shm_size": SHM_BYTES,
        "log_config": LogConfig(type="json-file", config=LOG_LIMITS),
        "device_requests": device_requests(spec.device),
    }
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


def device_requests(device: Device) -> list[DeviceRequest]:
    """The GPU by its UUID, since tools count indices in different orders."""
    if device.kind != "gpu" or device.uuid is None:
        return []
    return [DeviceRequest(device_ids=[device.uuid], capabilities=[["gpu", "utility", "compute"]])]


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
