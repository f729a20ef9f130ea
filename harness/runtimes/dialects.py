"""What differs between the engines that speak Docker's API, beyond what they tell themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Dialect:
    """`log_driver`, with `log_options`, keeps a bounded log that the API can read.

    `gpu_driver` is how a device request for NVIDIA's cards is fulfilled; None is NVIDIA's hook.
    `callers_groups` stands, in a rootless engine, for the groups that the caller is in; empty where
    it cannot have them. `gpu_step` is what to do where no GPU is given.
    """

    spoken: str
    log_driver: str
    gpu_driver: str | None
    callers_groups: tuple[str, ...]
    gpu_step: str
    log_options: Mapping[str, str] = field(default_factory=dict)


DOCKER = Dialect(
    spoken="Docker",
    log_driver="local",  # a loud case is held up by json-file, Docker's default
    log_options={"compress": "false"},
    gpu_driver=None,
    callers_groups=(),
    gpu_step="install NVIDIA's container toolkit and restart Docker, "
    "or measure in this environment with --runtime local",
)
PODMAN = Dialect(
    spoken="Podman",
    log_driver="k8s-file",
    gpu_driver="cdi",
    callers_groups=("keep-groups",),
    gpu_step="describe the GPUs to Podman: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml "
    "--device-name-strategy=uuid, or measure in this environment with --runtime local",
)
DIALECTS = {"docker": DOCKER, "podman": PODMAN}
"""By the engine's kind."""
