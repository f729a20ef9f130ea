"""Which runtime the cases run in, and why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.catalog import ImageEntry, images
from harness.errors import (
    InputError,
    MachineError,
    NoEngineError,
    NoFrameworkError,
    NoGpuSupportError,
    NoImageError,
)
from harness.host.amd import find_amd
from harness.images import ImageHere, context, ensure
from harness.images.store import BY_TAG, tell_pinning
from harness.model import Device, ImageIdentity
from harness.runtimes import apptainer_images
from harness.runtimes.apptainer import ApptainerRuntime, find_program
from harness.runtimes.base import Runtime
from harness.runtimes.command import visible
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engines import CONNECT, engine_for
from harness.runtimes.interpreter import Interpreter, ask
from harness.runtimes.local import LocalRuntime
from harness.runtimes.rehearsal import rehearse, remove_dead

_HAS_ALL = "an engine answers and has what the cases need"


@dataclass(frozen=True)
class Need:
    """What one case asks of a runtime. `image` is the catalog's name for it."""

    framework: str
    image: str
    device: Device
    asked_for_image: bool
    memory_limit: int | None


@dataclass(frozen=True)
class Chosen:
    """The runtime, the reason for the record, and the images by their catalog names.

    `interpreter` describes the Python that runs the cases where no image does; `left_out` is what
    of a container's isolation and limits this machine does not grant.
    """

    runtime: Runtime
    reason: str
    images: Mapping[str, ImageHere] = field(default_factory=dict)
    interpreter: str | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """Where and how a runtime is got ready.

    `scratch` is a folder that an engine can see, for a container that does nothing; `python` the
    interpreter that runs the cases without a container.
    """

    on_progress: Callable[[str], None]
    scratch: Path
    python: str


def choose_runtime(
    request: str,
    needs: Iterable[Need],
    on_progress: Callable[[str], None],
    scratch: Path,
    python: str = sys.executable,
) -> Chosen:
    """The runtime that was asked for; for ``auto`` the first that has everything it needs.

    `scratch` is a folder that the engine can see, for a container that does nothing; `python`
    runs the cases without one. Raises MachineError (or what the runtime asked for raises) where
    there is none.
    """
    needs, setting = list(needs), Setting(on_progress, scratch, python)
    if request != "auto":
        return RUNTIMES[request](needs, "asked for", setting)
    passed_over: list[MachineError] = []
    for name in CONNECT:
        reason = "; ".join([*map(_first_line, passed_over), _HAS_ALL])
        try:
            return RUNTIMES[name](needs, reason, setting)
        except (NoEngineError, NoImageError, NoGpuSupportError) as error:
            if not (passed_over and isinstance(error, NoEngineError)):  # one missing engine is told
                passed_over.append(error)
    try:
        return _local(needs, "; ".join(map(_first_line, passed_over)), setting)
    except (NoFrameworkError, NoGpuSupportError, InputError) as error:
        steps = "; or: ".join([*(passed.next_step for passed in passed_over), error.next_step])
        said = "; ".join(passed.message for passed in passed_over)
        raise MachineError(f"{said}; and without a container: {error.message}", steps) from error


def _first_line(error: MachineError) -> str:
    return error.message.splitlines()[0]


def _in_containers(kind: str, needs: list[Need], reason: str, setting: Setting) -> Chosen:
    runtime = DockerRuntime(engine_for(kind))
    runtime.require_gpu_support(need.device for need in needs)  # before gigabytes are pulled
    catalog = images()
    here = {
        name: ensure(runtime.engine, name, catalog[name], setting.on_progress)
        for name in dict.fromkeys(need.image for need in needs)
    }
    remove_dead(runtime.engine)
    return _rehearsed(runtime, here, needs, reason, setting)


def _apptainer(needs: list[Need], reason: str, setting: Setting) -> Chosen:
    program = find_program()
    _require_a_name(needs)
    catalog = images()
    here = {
        name: _sif(program, name, catalog[name], setting.on_progress)
        for name in dict.fromkeys(need.image for need in needs)
    }
    return _rehearsed(ApptainerRuntime(program), here, needs, reason, setting)


def _sif(
    program: str, name: str, entry: ImageEntry, on_progress: Callable[[str], None]
) -> ImageHere:
    path = apptainer_images.ensure(program, name, entry, on_progress, _made_from(entry))
    here = _held_in(path, entry)
    tell_pinning(name, here, on_progress)
    return here


def find_sif(entry: ImageEntry) -> ImageHere | None:
    """The image as a file of this user's, where it is here. Raises MachineError without a home."""
    path = apptainer_images.sif_path(entry, _made_from(entry))
    return _held_in(path, entry) if path.is_file() else None


def _made_from(entry: ImageEntry) -> str | None:
    return context.digest(entry.build) if entry.build else None


def _held_in(path: Path, entry: ImageEntry) -> ImageHere:
    pinned = entry.digest is not None
    identity = ImageIdentity(reference=entry.reference, digest=entry.digest, pinned=pinned)
    return ImageHere(str(path), identity, "" if pinned else BY_TAG)


def _rehearsed(
    runtime: DockerRuntime | ApptainerRuntime,
    here: Mapping[str, ImageHere],
    needs: list[Need],
    reason: str,
    setting: Setting,
) -> Chosen:
    left_out: list[str] = []
    for need in needs:
        image = here[need.image].id
        left_out += rehearse(runtime, image, need.device, setting.scratch, need.memory_limit)
    without = tuple(dict.fromkeys(left_out))
    told = "".join(f"; without {what}" for what in without)
    return Chosen(runtime, reason + told, here, left_out=without)


def _local(needs: list[Need], reason: str, setting: Setting) -> Chosen:
    found = require_local(needs, setting.python)
    _require_a_name(needs)
    told = found.describe()
    return Chosen(LocalRuntime(found.path), f"{reason}; {told}", interpreter=told)


def _require_a_name(needs: Iterable[Need]) -> None:
    """Raise NoGpuSupportError for a card that a case shown every card cannot be told."""
    for device in (need.device for need in needs):
        if device.vendor == "amd" and not visible(device) and len(find_amd()) > 1:
            raise NoGpuSupportError(
                f"the GPU {device.name} ({device.uuid}) has no id of its own, so that ROCm cannot "
                "tell it from this machine's other AMD cards",
                "use --runtime docker or podman, which hand a case one card's node alone",
            )


def require_local(needs: Iterable[Need], python: str = sys.executable) -> Interpreter:
    """The interpreter, which has what the cases need. Raises InputError or NoFrameworkError."""
    found = ask(python)
    for need in needs:
        if need.asked_for_image:
            raise InputError(
                f"the matrix names the image {need.image}, and the runtime local has no images",
                "leave the image out, or use --runtime docker",
            )
        if need.memory_limit is not None:
            raise InputError(
                "the matrix limits memory, and the runtime local cannot",
                "leave memory_limit out, or use --runtime docker",
            )
        found.require(need.framework)
    return found


RUNTIMES: Mapping[str, Callable[[list[Need], str, Setting], Chosen]] = {
    "docker": partial(_in_containers, "docker"),
    "podman": partial(_in_containers, "podman"),
    "apptainer": _apptainer,
    "local": _local,
}
"""How each runtime is got ready, by the name that `--runtime` takes."""

NAMES = ("auto", *RUNTIMES)
