"""What is checked before the first case starts, so that a night's run does not fail at dawn.

`harness doctor` and a run share these: what the doctor shows is what a run would meet.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.catalog import images, models
from harness.errors import MachineError
from harness.model import Case
from harness.units import human_bytes

BYTES_PER_PARAMETER = 12
"""A saved model holds each weight and Adam's two moments of it as float32."""

MARGIN = 200 << 20
"""Logs, records and temporary names beside the saved models, in bytes."""

MODEL_B_MEMORY = 6 << 30
"""Main memory that training Model B on a processor took at its peak, measured, in bytes."""

RESULTS_STEP = "name another with --results"


@dataclass(frozen=True)
class Finding:
    """What one check found. `mend` is the command (or words) that helps, empty where none does.

    `ok` is True where all is well, False where no run can start because of it, and None where a
    run can do without, or where it does not apply or cannot be known.
    """

    name: str
    ok: bool | None
    what: str
    mend: str = ""


def space_needed(cases: Iterable[Case]) -> int:
    """Bytes that the largest case writes at once: the best checkpoint and its successor."""
    return space_for(case.model for case in cases)


def space_for(names: Iterable[str]) -> int:
    """The same for the largest of the named models."""
    known = models()
    sizes = (known[name].parameters for name in names)
    return 2 * BYTES_PER_PARAMETER * max(sizes, default=0) + MARGIN


def check_results_folder(results: Path, needed: int) -> None:
    """Raise MachineError where `results` cannot be written or holds too little free space."""
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"the results folder {results} cannot be made: {error.strerror}", RESULTS_STEP
        ) from error
    found = check_results(results, needed)
    if found.ok is False:
        raise MachineError(found.what, found.mend)


def check_results(results: Path, needed: int) -> Finding:
    """Whether runs can be written to `results`, or to the folder it would be made in."""
    problem = why_not_writable(results)
    if problem:
        return Finding("results", False, f"the results folder {results} {problem}", RESULTS_STEP)
    free = free_bytes(results)
    if free < needed:
        return Finding(
            "results",
            False,
            f"{results} has {human_bytes(free)} free; the largest case needs {human_bytes(needed)}",
            "free some space, or name a folder on another disk with --results",
        )
    return Finding("results", True, f"{results} can be written, {human_bytes(free)} free")


def why_not_writable(folder: Path) -> str:
    """What keeps this user from writing in `folder`, or from making it; empty where nothing."""
    nearest = nearest_existing(folder)
    if not nearest.is_dir():
        return "is no folder" if nearest == folder else f"cannot be made: {nearest} is no folder"
    if os.access(nearest, os.W_OK | os.X_OK):
        return ""
    if nearest == folder:
        return "cannot be written by this user"
    return f"cannot be made: {nearest} cannot be written by this user"


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that holds `folder`, or that would hold it."""
    return shutil.disk_usage(nearest_existing(folder)).free


def nearest_existing(folder: Path) -> Path:
    """`folder`, or the deepest of its parents that is there."""
    # os.path.lexists, unlike Path.exists, raises nowhere.
    return next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))


def check_memory(total: int, available: int) -> Finding:
    """Main memory, in bytes, against what Model B needs; being short of it is a result too."""
    said = f"{human_bytes(available)} of {human_bytes(total)} available"
    if available >= MODEL_B_MEMORY:
        return Finding("memory", True, said)
    needs = f"{said}; model-b on a processor needs about {human_bytes(MODEL_B_MEMORY)}"
    if total < MODEL_B_MEMORY:
        return Finding("memory", None, needs, "measure model-a, which needs less")
    return Finding("memory", None, needs, "end programs that hold memory")


def check_driver(driver: str | None, minimum: str, image: str) -> Finding:
    """NVIDIA's driver (None where no GPU is seen) against the least that `image` wants."""
    if driver is None:
        return Finding("driver", None, f"no GPU is seen; {image} would need {minimum} or newer")
    said = f"{driver}, and {image} needs {minimum} or newer"
    ours, least = _numbers(driver), _numbers(minimum)
    if not ours or not least:
        return Finding("driver", None, f"{said}: the two cannot be compared")
    if ours >= least:
        return Finding("driver", True, said)
    return Finding(
        "driver",
        False,
        said,
        f"install NVIDIA's driver {minimum} or newer; a data-centre GPU may do without",
    )


def worries(
    on_processor: Iterable[str], image_names: Iterable[str], driver: str | None
) -> list[Finding]:
    """What no run needs to stop for, but should tell before it starts: memory and driver.

    `on_processor` are the models that the processor trains, `image_names` the catalog's names of
    the images that GPU cases take.
    """
    import psutil

    found = []
    if any(model.startswith("model-b") for model in on_processor):
        memory = psutil.virtual_memory()
        found.append(check_memory(memory.total, memory.available))
    for name in dict.fromkeys(image_names):
        minimum = images()[name].min_driver
        if minimum is not None:
            found.append(check_driver(driver, minimum, name))
    return [finding for finding in found if finding.mend]


def _numbers(version: str) -> tuple[int, ...]:
    """``570.86.10`` as numbers; empty where it is written in another way."""
    parts = version.strip().split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()
