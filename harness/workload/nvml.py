"""Temperature and clock of the visible NVIDIA GPU, straight from the driver's library.

The standard library alone: images need not hold bindings. Only devices that were handed to the
container are seen, so the first is the one that computes.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Callable, Optional

from .backend import Reading

LIBRARY = "libnvidia-ml.so.1"
SM_CLOCK = 1
GPU_SENSOR = 0


def reader() -> Callable[[], Optional[Reading]]:
    """A function that reads the GPU; it gives None where there is none or it tells nothing."""
    library = _library()
    device = ctypes.c_void_p()
    if library is None or not _find(library, device):
        return lambda: None

    def read() -> Optional[Reading]:
        temperature, clock = ctypes.c_uint(), ctypes.c_uint()
        failed = library.nvmlDeviceGetTemperature(device, GPU_SENSOR, ctypes.byref(temperature))
        failed = failed or library.nvmlDeviceGetClockInfo(device, SM_CLOCK, ctypes.byref(clock))
        return None if failed else (temperature.value, clock.value)

    return read


def _library() -> Optional[Any]:
    try:
        library = ctypes.CDLL(LIBRARY)
        return library if library.nvmlInit_v2() == 0 else None
    except (OSError, AttributeError):
        return None


def _find(library: Any, device: ctypes.c_void_p) -> bool:
    """The device that CUDA sees first: by its UUID where one is named, else NVML's first."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0]
    if named.startswith(("GPU-", "MIG-")):
        found = library.nvmlDeviceGetHandleByUUID(named.encode(), ctypes.byref(device))
    else:
        found = library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device))
    return bool(found == 0)
