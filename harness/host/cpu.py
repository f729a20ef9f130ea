"""The processor: its name, what it has, and what of it this process may use."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from harness.host.text import read

NAMES = ("model name", "Model", "Hardware")


def cpu_model(root: Path = Path("/")) -> str:
    """The processor's name as the kernel gives it."""
    for line in (read(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in NAMES and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def allowed_threads() -> int | None:
    """How many of its threads the scheduler may give this process; None where nobody says."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return None
