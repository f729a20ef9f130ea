"""A matrix as SkyPilot tasks: one for each GPU type, each a file that `sky launch` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness import __version__
from harness.catalog.gpu_names import clouds, gpu_names
from harness.errors import InputError
from harness.export.naming import slug
from harness.export.scripts import script, write_matrix
from harness.export.source import (
    Source,
    modules,
    refuse_what_local_lacks,
    served_image,
)
from harness.export.yaml_text import document
from harness.matrix.names import known_name

WHEELS = "~/harness-wheel"
"""Where SkyPilot puts a wheel that it copies to the machine."""


@dataclass(frozen=True)
class Rental:
    """Which GPUs, of which cloud (None: SkyPilot takes the cheapest), with which image."""

    gpus: tuple[str, ...]
    cloud: str | None = None
    image_id: str | None = None

    @property
    def in_container(self) -> bool:
        """Whether what is rented is a container, in which no engine runs."""
        rents_container = self.cloud is not None and clouds()[self.cloud] == "container"
        return rents_container or (self.image_id or "").startswith("docker:")


@dataclass(frozen=True)
class Task:
    """One task: its name, and the file's text."""

    name: str
    text: str


def rental(gpus: str, cloud: str | None = None, image_id: str | None = None) -> Rental:
    """From the options' texts, checked. Raises InputError."""
    words = [word.strip() for word in gpus.split(",")]
    if not any(words):
        raise InputError("--gpus names none", "write for instance --gpus L4,A100,H100")
    try:
        names = tuple(dict.fromkeys(_gpu(word) for word in words if word))
        place = known_name("cloud", cloud.strip().lower(), clouds()) if cloud is not None else None
    except ValueError as error:
        raise InputError(str(error)) from error
    if image_id is not None and (not image_id.strip() or image_id != image_id.strip()):
        raise InputError(f"--image-id {image_id!r} is no image")
    return Rental(names, place, image_id)


def _gpu(word: str) -> str:
    """SkyPilot's spelling. It takes any other too, and finds out when it looks for machines."""
    name, colon, _count = word.partition(":")
    if colon:
        raise ValueError(
            f"--gpus {word}: a case is measured on one GPU, so that none is rented in vain; "
            f"write {name}"
        )
    known = gpu_names()
    by_lower = {one.lower(): one for one in known}
    if word.lower() in by_lower:
        return by_lower[word.lower()]
    return known_name("GPU", word.upper(), known)


def remarks(of: Rental) -> list[str]:
    """What may go wrong when the tasks are launched, as far as it can be known before."""
    if of.cloud is None:
        return []
    known = gpu_names()
    return [
        f"{of.cloud} offered no {name} when the list of names was read "
        f"({', '.join(known[name]) or 'no listed cloud'} did): see sky show-gpus {name}"
        for name in of.gpus
        if of.cloud not in known[name]
    ]


def tasks(of: Source, on: Rental) -> list[Task]:
    """A task for each GPU; where a container is rented, for each framework too. Raises InputError.

    One image holds one framework, and a rented container is one image.
    """
    if not on.in_container:
        return [_task(of, on, gpu, None) for gpu in on.gpus]
    refuse_what_local_lacks(of.cases, "in a rented container")
    frameworks = of.frameworks
    if on.image_id is not None and len(frameworks) > 1:
        raise InputError(
            f"--image-id is one image, and the cases need one for each of {', '.join(frameworks)}",
            f"export them one by one: --only framework={frameworks[0]}",
        )
    return [_task(of, on, gpu, framework) for gpu in on.gpus for framework in frameworks]


def _task(of: Source, on: Rental, gpu: str, framework: str | None) -> Task:
    several = framework is not None and len(of.frameworks) > 1
    name = "-".join(["harness", slug(gpu), *([framework] if several and framework else [])])
    selection = [*of.selection, *(["--only", f"framework={framework}"] if several else [])]
    content: dict[str, Any] = {
        "name": name,
        "resources": _resources(on, gpu, framework),
        "envs": {
            "HARNESS_REQUIREMENT": _requirement(of),
            "HARNESS_VERSION": __version__,
            "HARNESS_MATRIX_SHA256": of.sha256,
            "HARNESS_RUNTIME": "docker" if framework is None else "local",
            "HARNESS_MODULES": "" if framework is None else modules(framework),
            "HARNESS_NEEDS_GPU": "1",
            "HARNESS_SELECTION": "\n".join(selection),
        },
    }
    if of.wheel is not None:
        content["file_mounts"] = {f"{WHEELS}/{of.wheel.name}": str(of.wheel.absolute())}
    content["setup"] = write_matrix(of) + script("setup.sh")
    content["run"] = script("run.sh")
    return Task(name, document(content, _comment(of, name, gpu, framework)))


def _requirement(of: Source) -> str:
    return of.requirement if of.wheel is None else f"{WHEELS}/{of.wheel.name}"


def _resources(on: Rental, gpu: str, framework: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"infra": on.cloud} if on.cloud is not None else {}
    found["accelerators"] = f"{gpu}:1"
    if framework is not None:
        image = on.image_id or served_image(framework, "--image-id")
        found["image_id"] = f"docker:{image.removeprefix('docker:')}"
    elif on.image_id is not None:
        found["image_id"] = on.image_id
    return found


def _comment(of: Source, name: str, gpu: str, framework: str | None) -> list[str]:
    where: Sequence[str] = (
        ("Cases run in Docker on a virtual machine, in the images that the harness pins.",)
        if framework is None
        else (
            "What is rented is a container, in which no Docker runs: cases run in the image below",
            "itself (runtime local), and the report says that they ran in no pinned image.",
        )
    )
    return [
        f"The matrix {of.name} on one {gpu}, for SkyPilot. Made by harness export skypilot,",
        f"version {__version__}. The matrix is a part of this file. Its SHA-256, which every",
        f"run.json of it has too (matrix_sha256), is {of.sha256}.",
        *where,
        "",
        f"  sky launch -c {name} {name}.yaml     # rents, sets up, measures, and goes on costing",
        f"  rsync -avz {name}:harness-export/results/ results/",
        f"  sky down {name}                      # ends it, and what it costs",
        "  sky status                           # must not list it any more",
        "",
        "If you may forget it: sky launch -i 30 --down … ends the machine after 30 idle minutes,",
        "where the cloud allows that, and with it every result that was not fetched.",
        "The job is told as failed where a case did not complete, which is a result as well.",
        "No price is in here: give yours to harness report --price.",
    ]
