"""The pod that measures one case: least privilege, one GPU, and folders of its own in memory or on
the node's disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import __version__
from harness.export.source import Source, modules
from harness.model import Case

CONFIG = "/etc/harness"
"""Where the matrix and the scripts are."""

HOME = "/harness"
CLAIMED = "/results"
SOMEBODY = 1000
"""Any user but root: nothing in the image needs to belong to it."""

SHARED_MEMORY = "1Gi"
"""What NVIDIA recommends for its images; an engine's own default is 64 MiB."""


@dataclass(frozen=True)
class Room:
    """What a pod is called, runs in, reads, is granted, and where it may be put."""

    name: str
    image: str
    config: str
    cpus: str
    memory: str
    claim: str | None = None
    nodes: Mapping[str, str] = field(default_factory=dict)


def pod(of: Source, case: Case, room: Room) -> dict[str, Any]:
    """The pod's specification."""
    shared = {
        "image": room.image,
        "env": _variables(of, case, room),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(room),
    }
    asked = {"cpu": room.cpus, "memory": room.memory}
    found: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": SOMEBODY,
            "runAsGroup": SOMEBODY,
            "fsGroup": SOMEBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # In a container of its own: what is installed is over before a GPU is waited for in vain,
        # and the log of the measurement holds nothing else.
        "initContainers": [
            {
                "name": "set-up",
                "command": ["bash", "-e", f"{CONFIG}/setup.sh"],
                **shared,
                "resources": {"requests": asked},
            }
        ],
        # No limit of processor time: to be throttled in the middle would be measured as well.
        "containers": [
            {
                "name": "measure",
                "command": ["bash", "-e", f"{CONFIG}/run.sh"],
                **shared,
                "resources": {
                    "requests": {**asked, "nvidia.com/gpu": "1"},
                    "limits": {"nvidia.com/gpu": "1"},
                },
            }
        ],
        "volumes": _volumes(room),
    }
    if room.nodes:
        found["nodeSelector"] = dict(room.nodes)
    return found


def _variables(of: Source, case: Case, room: Room) -> list[dict[str, str]]:
    wheel = f"{CONFIG}/{of.wheel.name}" if of.wheel is not None else None
    values = {
        "HOME": HOME,
        "TMPDIR": "/tmp",  # noqa: S108 - the pod's own, which nobody else sees
        "HARNESS_HOME": HOME,
        "HARNESS_MATRIX": f"{CONFIG}/matrix.yaml",
        "HARNESS_REQUIREMENT": wheel or of.requirement,
        "HARNESS_VERSION": __version__,
        "HARNESS_MATRIX_SHA256": of.sha256,
        "HARNESS_RUNTIME": "local",
        "HARNESS_MODULES": modules(case.framework),
        "HARNESS_NEEDS_GPU": "1",
        "HARNESS_SELECTION": f"--only\nid={case.id}",
        "HARNESS_PRINT_RESULTS": "1" if room.claim is None else "0",
    }
    if room.claim is not None:
        values["HARNESS_RESULTS"] = f"{CLAIMED}/{room.name}"
    return [{"name": name, "value": value} for name, value in values.items()]


def _mounts(room: Room) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "config", "mountPath": CONFIG, "readOnly": True},
        {"name": "home", "mountPath": HOME},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108
    ]
    if room.claim is not None:
        found.append({"name": "results", "mountPath": CLAIMED})
    return found


def _volumes(room: Room) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "config", "configMap": {"name": room.config}},
        {"name": "home", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}},
    ]
    if room.claim is not None:
        found.append({"name": "results", "persistentVolumeClaim": {"claimName": room.claim}})
    return found
