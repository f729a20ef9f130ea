"""Which GPUs a provider or a scheduler leaves to this process, by the variables they set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.host.gpus import Gpu, Gpus

SETTINGS = {
    "nvidia": ("CUDA_VISIBLE_DEVICES",),
    "amd": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
}
"""What lists the GPUs of a vendor's that a process may use: HIP's list chooses of ROCR's."""

OF_CONTAINERS = "NVIDIA_VISIBLE_DEVICES"
"""What NVIDIA's toolkit gave the container that the harness itself runs in."""

SLICE = "MIG-"


def allowed(gpus: Gpus, environment: Mapping[str, str]) -> Gpus:
    """The GPUs that the caller may use, in the order in which they were left to it.

    A machine that a scheduler shares shows every GPU, and never a slice (MIG) of one by itself.
    """
    left: list[Gpu] = []
    told = [gpus.problem] if gpus.problem else []
    for vendor in SETTINGS:
        own = [gpu for gpu in gpus.found if gpu.vendor == vendor]
        lists = _lists(vendor, environment)
        kept = own
        for wishes in lists:
            kept = _left(wishes.split(","), kept)
        left += kept
        if kept != own:
            said = ", of those ".join(wishes or "an empty list" for wishes in lists)
            told.append(f"of {len(own)} that are seen, {said} is left to it")
    return replace(gpus, found=tuple(left), problem="; ".join(told) or None)


def _lists(vendor: str, environment: Mapping[str, str]) -> list[str]:
    known = [environment[name] for name in SETTINGS[vendor] if name in environment]
    given = environment.get(OF_CONTAINERS, "")
    if not known and vendor == "nvidia" and given.startswith(SLICE):
        return [given]
    return known


def _left(wishes: Sequence[str], own: Sequence[Gpu]) -> list[Gpu]:
    """As in CUDA, a list ends where it names what is not there."""
    left: list[Gpu] = []
    for wish in map(str.strip, wishes):
        found = _named(wish, own)
        if found is None:
            break
        left.append(found)
    return left


def _named(wish: str, own: Sequence[Gpu]) -> Gpu | None:
    if wish.startswith(SLICE) and own:
        name = f"{own[0].name} (MIG)" if len(own) == 1 else "a MIG slice"
        return Gpu(own[0].index, wish, name, None)
    for place, gpu in enumerate(own):
        # NVML's index counts a card that is broken, too; AMD's begin after NVIDIA's.
        index = gpu.index if gpu.vendor == "nvidia" else place
        if wish == str(index) or (wish.startswith("GPU-") and gpu.uuid.startswith(wish)):
            return gpu
    return None
