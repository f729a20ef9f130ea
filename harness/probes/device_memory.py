"""How much of a GPU's memory is in use, as NVML tells it to any process of the machine."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from harness.model import Device


class DeviceMemory:
    """One GPU, while NVML is open. Amounts are bytes, and None where NVML does not tell them."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def used(self) -> int | None:
        """In use by everything on the card."""
        import pynvml

        for version in (pynvml.nvmlMemory_v2, None):  # the first counts the driver's own apart
            with contextlib.suppress(pynvml.NVMLError):
                return int(pynvml.nvmlDeviceGetMemoryInfo(self._handle, version).used)
        return None

    def used_by(self, pids: Collection[int]) -> int | None:
        """In use by these processes; None too where NVML sees none of them.

        Inside a container, and in Windows' own driver model, it does not say whose memory is whose.
        """
        import pynvml

        # Its own error for a driver that is older than the binding is no NVMLError.
        with contextlib.suppress(Exception):
            running = pynvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
            amounts = [one.usedGpuMemory for one in running if one.pid in pids]
            known = [int(amount) for amount in amounts if amount is not None]
            return sum(known) if known else None
        return None


@contextmanager
def opened(device: Device) -> Iterator[DeviceMemory | None]:
    """The GPU that a case was given; None where it is none of NVIDIA's, or NVML is not here."""
    import pynvml

    if device.kind != "gpu" or device.uuid is None or device.vendor == "amd":
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield _found(device.uuid)
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _found(uuid: str) -> DeviceMemory | None:
    import pynvml

    try:
        return DeviceMemory(pynvml.nvmlDeviceGetHandleByUUID(uuid))
    except pynvml.NVMLError:
        return None
