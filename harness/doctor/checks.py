"""One small check each: what was seen in, a finding out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.catalog import DatasetEntry, ImageEntry
from harness.errors import HarnessError
from harness.host.gpus import Gpus
from harness.images import ImageHere
from harness.preflight import Finding, check_driver, free_bytes, why_not_writable
from harness.runtimes.dialects import DIALECTS
from harness.runtimes.engine import Engine
from harness.units import human_bytes, named

FETCH_MARGIN = 16 << 20
"""Bytes that fetching leaves free beside the files."""

SHOWN = 3
"""How many leftovers a line names."""


def failed(name: str, error: HarnessError) -> Finding:
    """What an error says, as a finding that stops a run."""
    return Finding(name, False, error.message, error.next_step)


def check_engine(engine: Engine) -> Finding:
    """An engine that answered."""
    traits = [
        word
        for word, holds in (
            ("rootless", engine.rootless),
            ("maps users", engine.remaps_users),
            ("limits no memory", not engine.limits),
        )
        if holds
    ]
    spoken = DIALECTS[engine.kind].spoken
    return Finding("engine", True, ", ".join([f"{spoken} {engine.version}", *traits]))


def check_gpus(gpus: Gpus) -> Finding:
    """The GPUs by NVML; a machine without one measures its processor."""
    problem = f" ({gpus.problem})" if gpus.problem else ""
    if not gpus.found:
        mend = (
            "where there is one, install NVIDIA's driver until nvidia-smi lists it, "
            "or AMD's until rocminfo does"
        )
        return Finding("gpu", None, f"none that NVML or AMD's driver sees{problem}", mend)
    names = ", ".join(f"{gpu.index} {gpu.name} {human_bytes(gpu.memory)}" for gpu in gpus.found)
    if gpus.problem:
        return Finding("gpu", None, names + problem, "look at the others with nvidia-smi")
    return Finding("gpu", True, names)


def check_drivers(
    driver: str | None, catalog: Mapping[str, ImageEntry], wanted: str, proven: bool
) -> list[Finding]:
    """The driver against each image that asks for one.

    It stops a run only where `wanted`, the image that this machine's GPU cases take, needs a newer
    one, and no container of it was seen to start with a GPU (`proven`).
    """
    found = []
    for name, entry in catalog.items():
        if entry.min_driver is not None:
            finding = check_driver(driver, entry.min_driver, name)
            if finding.ok is False and name == wanted and proven:
                finding = replace(finding, ok=None, what=f"{finding.what}; yet it starts")
            found.append(finding if name == wanted else _no_obstacle(finding))
    return found


def check_image(name: str, entry: ImageEntry, here: ImageHere | None, engine: bool) -> Finding:
    """An image of the catalog; one that is missing is fetched or built by the run that needs it."""
    line = f"image {name}"
    if not engine:
        return Finding(line, None, "not known: no engine holds it")
    if here is not None:
        return Finding(line, True, f"{entry.reference} {(here.identity.digest or '')[:19]}".strip())
    if entry.build is not None:
        return Finding(line, None, "to be built", f"harness images build {name}")
    return Finding(line, None, "to be pulled", f"harness images pull {name}")


def check_local(distribution: str | None, missing: HarnessError | None, gpu: bool) -> Finding:
    """This environment; `distribution` is the framework's name and version as installed."""
    if missing is not None:
        return failed("local", missing)
    held = distribution or "the framework"
    if gpu and held.startswith("tensorflow-cpu"):
        mend = "pip uninstall tensorflow-cpu, then pip install 'tensorflow[and-cuda]'"
        return Finding("local", False, f"{held} is here, which uses no GPU", mend)
    return Finding("local", True, f"{held} in this Python environment")


def weigh(ways: Mapping[str, Sequence[Finding]]) -> tuple[dict[str, list[Finding]], Finding]:
    """All ways to run a case, and whether one is open: a closed one then stops nobody."""
    closed = {name: [found for found in way if found.ok is False] for name, way in ways.items()}
    opened = [name for name, obstacles in closed.items() if not obstacles]
    if not opened:
        mends = [next((found.mend for found in way if found.mend), "") for way in closed.values()]
        what = "no case can run, neither in a container nor in this environment"
        verdict = Finding("runtime", False, what, "; or: ".join(filter(None, mends)))
        return {name: list(way) for name, way in ways.items()}, verdict
    verdict = Finding("runtime", True, f"cases can run with: {', '.join(opened)}")
    return {name: [_no_obstacle(found) for found in way] for name, way in ways.items()}, verdict


def _no_obstacle(found: Finding) -> Finding:
    return replace(found, ok=None) if found.ok is False else found


def check_leftovers(names: Sequence[str]) -> Finding:
    """Containers whose harness is dead: they hold memory and GPUs, but a run can start."""
    if not names:
        return Finding("leftovers", True, "none")
    said = f"containers of dead runs: {named(names, SHOWN)}"
    return Finding("leftovers", None, said, "harness clean")


def check_dataset(
    name: str, entry: DatasetEntry, locate: Callable[[str], Path | None], fetch: str
) -> Finding:
    """A dataset: all of it here and as published, missing, or damaged."""
    line = f"data {name}"
    if not entry.files:
        return Finding(line, True, "generated")
    try:
        folder = locate(name)
    except HarnessError as error:
        return Finding(line, False, error.message, f"{fetch} {name}")
    if folder is None:
        return Finding(line, None, "not here", f"{fetch} {name}")
    return Finding(line, True, f"verified, in {folder}")


def check_data_folder(folder: Path | HarnessError, missing: int) -> Finding:
    """Where the `missing` bytes of datasets would be fetched to."""
    line = "data folder"
    if isinstance(folder, HarnessError):
        if not missing:
            return Finding(line, None, f"{folder.message}; nothing is missing, either")
        return Finding(line, None, folder.message, folder.next_step)
    free = free_bytes(folder)
    if missing and free < missing + FETCH_MARGIN:
        return Finding(
            line,
            None,
            f"{folder} has {human_bytes(free)} free; the missing datasets need "
            f"{human_bytes(missing + FETCH_MARGIN)}",
            "free some space, or name a folder on another disk with --data-dir",
        )
    return Finding(line, True, f"{folder} can be written, {human_bytes(free)} free")


def check_cache(folder: Path) -> Finding:
    """The user's cache, where datasets go when no folder is named."""
    problem = why_not_writable(folder)
    if problem:
        mend = "name a folder that can be written in XDG_CACHE_HOME"
        return Finding("cache", None, f"{folder} {problem}", mend)
    return Finding("cache", True, f"{folder} can be written")
