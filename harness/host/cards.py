"""What NVML tells of a card beyond its name: each call may fail, and then it is not known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from harness.host.gpus import Gpu, Gpus, nvml
from harness.host.salted import salted
from harness.model import Frozen

T = TypeVar("T")


class GpuHardware(Frozen):
    """`memory` in bytes; powers in watts; None where NVML does not say.

    `id` stands for the card's UUID, salted. `mig_slices` are the slices' profiles where `mig` is
    on, such as ``1g.10gb``; a slice is a device of its own with its card's facts.
    """

    name: str
    memory: int | None
    id: str | None = None
    power_limit_w: float | None = None
    power_range_w: tuple[float, float] | None = None
    vbios: str | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    mig: bool | None = None
    mig_slices: tuple[str, ...] = ()


def hardware(gpus: Gpus) -> tuple[GpuHardware, ...]:
    """Every card that was found, in its order. Never raises."""
    import pynvml

    with suppress(pynvml.NVMLError), nvml():
        return tuple(_described(gpu) for gpu in gpus.found)
    return tuple(_plain(gpu) for gpu in gpus.found)


def cuda_version() -> str | None:
    """The newest CUDA that the driver can run, such as ``12.8``."""
    import pynvml

    with suppress(pynvml.NVMLError), nvml():
        number = int(pynvml.nvmlSystemGetCudaDriverVersion())
        return f"{number // 1000}.{number % 1000 // 10}"
    return None


def _plain(gpu: Gpu) -> GpuHardware:
    return GpuHardware(name=gpu.name, memory=gpu.memory, id=salted(gpu.uuid))


def _described(gpu: Gpu) -> GpuHardware:
    import pynvml

    handle = _told(lambda: pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid))
    if gpu.vendor != "nvidia" or handle is None:
        return _plain(gpu)
    limit = _told(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle))
    limits = _told(lambda: pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle))
    mode = _told(lambda: pynvml.nvmlDeviceGetMigMode(handle))
    return _plain(gpu).model_copy(
        update={
            "power_limit_w": None if limit is None else limit / 1000,
            "power_range_w": None if limits is None else (limits[0] / 1000, limits[1] / 1000),
            "vbios": _told(lambda: str(pynvml.nvmlDeviceGetVbiosVersion(handle))),
            "pcie_generation": _told(lambda: pynvml.nvmlDeviceGetMaxPcieLinkGeneration(handle)),
            "pcie_width": _told(lambda: pynvml.nvmlDeviceGetMaxPcieLinkWidth(handle)),
            "mig": None if mode is None else bool(mode[0]),
            "mig_slices": tuple(_slices(handle)) if mode is not None and mode[0] else (),
        }
    )


def _slices(card: Any) -> Iterator[str]:
    """The profiles that NVML writes into the slices' names: ``NVIDIA A100 MIG 1g.5gb``."""
    import pynvml

    for index in range(_told(lambda: int(pynvml.nvmlDeviceGetMaxMigDeviceCount(card))) or 0):
        with suppress(pynvml.NVMLError):
            one = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(card, index)
            profile = re.search(r"MIG (\S+)", str(pynvml.nvmlDeviceGetName(one)))
            if profile is not None:
                yield profile[1]


def _told(ask: Callable[[], T]) -> T | None:
    import pynvml

    try:
        return ask()
    except pynvml.NVMLError:
        return None
