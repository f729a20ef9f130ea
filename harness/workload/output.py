"""What a phase tells the host: event lines on stdout, and one timing file at its end."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from typing import Any, Callable, Dict

import numpy as np

from . import contract, machine
from .backend import Backend, Model
from .blocks import Block, Clock

MIN_PROGRESS_S = 1.0


def emit(event: Dict[str, Any]) -> None:
    """Print one event, and see that it leaves the process."""
    sys.stdout.write(contract.event_line(finite(event)) + "\n")
    sys.stdout.flush()


def progress(clock: Clock, **fields: Any) -> Callable[[int, Block], None]:
    """A listener for blocks that prints progress events, about one a second at most.

    Args:
        fields: what each event carries besides ``step`` and ``images_per_s``.
    """
    last = -math.inf

    def on_block(step: int, block: Block) -> None:
        nonlocal last
        if clock() - last >= MIN_PROGRESS_S:
            speed = block.images / block.seconds
            emit({"event": "progress", **fields, "step": step, "images_per_s": speed})
            last = clock()

    return on_block


def write_timing(folder: str, phase: str, fields: Dict[str, Any]) -> None:
    """Write a phase's timing file: whole or not at all, even if the machine dies."""
    path = os.path.join(folder, contract.timing_file(phase))
    content = {"contract": contract.CONTRACT_VERSION, "phase": phase, **fields}
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(finite(content), file, indent=1, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".part", path)


def surroundings(backend: Backend, model: Model, jit: bool) -> Dict[str, Any]:
    """What a phase really ran on, as its timing file tells it."""
    return {
        "device": backend.device(model),
        "memory": {
            "peak_device_bytes": backend.peak_device_bytes(),
            "peak_host_bytes": machine.peak_host_bytes(),
        },
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            **backend.versions(),
        },
        "effective": backend.effective(jit),
    }


def finite(value: Any) -> Any:
    """`value` with null for the numbers that JSON lacks: a loss may well diverge."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
