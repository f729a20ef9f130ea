"""What this process learns of the machine it runs on. Linux; standard library alone."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import resource
import time
from typing import Optional

_IMPORTED = time.monotonic()
_PLAUSIBLE_AGE_S = 3600.0


def process_start() -> float:
    """When this process was started, on the clock of `time.monotonic`.

    To 10 ms, from the kernel's own record; where that is not to be had, the moment this module
    was imported.
    """
    now = time.monotonic()
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            # Fields are counted after the command's name, which may hold anything.
            ticks = int(file.read().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return _IMPORTED
    return now - age if now - _IMPORTED - 0.1 <= age < _PLAUSIBLE_AGE_S else _IMPORTED


def cpu_name() -> str:
    """The processor's name as the kernel tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cached_share(path: str) -> Optional[float]:
    """How much of a file the kernel holds in its page cache, from 0 to 1; None if it won't tell.

    A model that is loaded from memory loads faster than one from a disk.
    """
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file, mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE) as view:
            pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
            start = ctypes.c_char.from_buffer(view)
            failed = ctypes.CDLL(None).mincore(ctypes.byref(start), ctypes.c_size_t(size), pages)
            del start  # or the view cannot be closed
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    return None if failed else sum(page & 1 for page in pages) / len(pages)


def peak_host_bytes() -> int:
    """Most memory this process has had resident at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
