"""What the engine answers when it is asked: images, leftovers, containers that do nothing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.catalog import ImageEntry
from harness.doctor.checks import check_engine, check_leftovers, failed
from harness.errors import HarnessError
from harness.host.gpus import CPU, Gpu, Gpus, device_of
from harness.images import ImageHere, find
from harness.preflight import Finding
from harness.results.run import is_alive
from harness.runtimes import apptainer, podman
from harness.runtimes.containers import describe
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import connect
from harness.runtimes.leftovers import find_leftovers
from harness.runtimes.rehearsal import rehearse

NO_ENGINE = Finding("leftovers", None, "not known: no engine to ask")


@dataclass(frozen=True)
class Answers:
    """What the engine said. `images` (by catalog name) is None where no engine answered.

    `kind` is the engine's, as a runtime is named by it.

    `trials` are the containers that were started; `gpu_image` is the image whose containers were
    seen to start with every GPU of NVIDIA's.
    """

    engine: Finding
    images: Mapping[str, ImageHere] | None = None
    trials: tuple[Finding, ...] = ()
    gpu_image: str | None = None
    leftovers: Finding = NO_ENGINE
    kind: str = "docker"


def ask_engine(
    catalog: Mapping[str, ImageEntry], preferred: Mapping[str, str], gpus: Gpus, scratch: Path
) -> Answers:
    """Ask whatever engine there is. Never raises HarnessError.

    `preferred` names the image for a processor (``cpu``) and for each vendor's GPUs. Containers
    that do nothing are started in `scratch`, a folder of the caller's that the engine can see.
    """
    try:
        engine = connect()
        # Leftovers first: a container of ours below would look like one.
        left = [describe(container) for container in find_leftovers(engine, is_alive)]
        found = {name: find(engine, entry) for name, entry in catalog.items()}
    except HarnessError as error:
        return Answers(failed("engine", error))
    here = {name: image for name, image in found.items() if image is not None}
    runtime = DockerRuntime(engine)
    trials, gpu_image = [_plain(runtime, here, preferred["cpu"], scratch)], None
    for vendor in dict.fromkeys(gpu.vendor for gpu in gpus.found):
        chosen = _pick(here, preferred[vendor])
        alike = tuple(gpu for gpu in gpus.found if gpu.vendor == vendor)
        trials.append(_with_gpus(runtime, here, chosen, alike, scratch))
        if vendor == "nvidia" and trials[-1].ok:
            gpu_image = chosen
    return Answers(
        check_engine(engine), here, tuple(trials), gpu_image, check_leftovers(left), engine.kind
    )


def ask_podman() -> list[Finding]:
    """One line on Podman where it is installed or answers, else none. Never raises."""
    try:
        return [replace(check_engine(podman.connect()), name="podman")]
    except HarnessError as error:
        installed = shutil.which("podman") is not None
        return [failed("podman", error)] if installed else []


def ask_apptainer() -> list[Finding]:
    """One line on apptainer where it is installed, else none. Never raises.

    It opens no way by itself: no container is tried, none of its images may be here, and only
    ``--runtime apptainer`` takes it.
    """
    try:
        program = apptainer.find_program()
    except HarnessError:
        return []
    try:
        said = apptainer.ask_version(program)
    except HarnessError as error:
        return [replace(failed("apptainer", error), ok=None)]
    return [Finding("apptainer", None, f"{said}; --runtime apptainer takes it")]


def _plain(
    runtime: DockerRuntime, here: Mapping[str, ImageHere], preferred: str, scratch: Path
) -> Finding:
    image = _pick(here, preferred)
    if image is None:
        return _untried("container")
    try:
        left_out = rehearse(runtime, here[image].id, CPU, scratch)
    except HarnessError as error:
        return failed("container", error)
    except OSError as error:
        return _no_room("container", scratch, error)
    without = f", without {'; '.join(left_out)}" if left_out else ""
    return Finding("container", True, f"one of the image {image} starts{without}")


def _with_gpus(
    runtime: DockerRuntime,
    here: Mapping[str, ImageHere],
    image: str | None,
    gpus: tuple[Gpu, ...],
    scratch: Path,
) -> Finding:
    devices = [device_of(gpu) for gpu in gpus]
    try:
        runtime.require_gpu_support(devices)
        if image is None:
            return _untried("gpu inside")
        for device in devices:
            rehearse(runtime, here[image].id, device, scratch)
    except HarnessError as error:
        return failed("gpu inside", error)
    except OSError as error:
        return _no_room("gpu inside", scratch, error)
    said = f"containers of the image {image} start with {_names(gpus)}"
    return Finding("gpu inside", True, said)


def _names(gpus: tuple[Gpu, ...]) -> str:
    return ", ".join(f"GPU {gpu.index}" for gpu in gpus)


def _pick(here: Mapping[str, ImageHere], preferred: str) -> str | None:
    return preferred if preferred in here else next(iter(here), None)


def _untried(line: str) -> Finding:
    return Finding(
        line, None, "not known: no image is here to try one with", "harness images build cpu"
    )


def _no_room(line: str, scratch: Path, error: OSError) -> Finding:
    said = f"not known: no container can be tried in {scratch}: {error.strerror or error}"
    return Finding(line, None, said)
