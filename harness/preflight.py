"""What is checked before the first case starts, so that a night's run does not fail at dawn."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness.catalog import models
from harness.errors import MachineError
from harness.model import Case
from harness.units import human_bytes

BYTES_PER_PARAMETER = 12
"""A saved model holds each weight and Adam's two moments of it as float32."""

MARGIN = 200 << 20
"""Logs, records and temporary names beside the saved models, in bytes."""


def space_needed(cases: Iterable[Case]) -> int:
    """Bytes that the largest case writes at once: the best checkpoint and its successor."""
    known = models()
    sizes = (known[case.model].parameters for case in cases)
    return 2 * BYTES_PER_PARAMETER * max(sizes, default=0) + MARGIN


def check_results_folder(results: Path, needed: int) -> None:
    """Raise MachineError where `results` cannot be written or holds too little free space."""
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"the results folder {results} cannot be made: {error.strerror}",
            "name another with --results",
        ) from error
    if not os.access(results, os.W_OK | os.X_OK):
        raise MachineError(
            f"the results folder {results} cannot be written by this user",
            "name another with --results",
        )
    free = shutil.disk_usage(results).free
    if free < needed:
        raise MachineError(
            f"{results} has {human_bytes(free)} free; the largest case needs {human_bytes(needed)}",
            "free some space, or name a folder on another disk with --results",
        )
