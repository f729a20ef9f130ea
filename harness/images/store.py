"""An image of the catalog on this machine: there by its digest, pulled, or built."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from docker.errors import ImageNotFound

from harness.catalog import ImageEntry
from harness.catalog.images import repository
from harness.errors import MachineError, NoEngineError, NoImageError
from harness.images.build import LABEL, BuildSettings, build, context_digest
from harness.images.pull import pull
from harness.model import ImageIdentity
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain
from harness.units import human_bytes

OnProgress = Callable[[str], None]

LEAST_SPACE = 1 << 30
"""Bytes assumed for an image whose size nobody measured: no framework is smaller."""


@dataclass(frozen=True)
class ImageHere:
    """`id` is what the engine starts; `identity` is what the record says."""

    id: str
    identity: ImageIdentity


def find(engine: Engine, entry: ImageEntry) -> ImageHere | None:
    """The image where it is there as the catalog wants it, else None. Raises NoEngineError."""
    if entry.digest is not None:
        found = _inspect(engine, entry.pinned_reference)
        return _pulled(entry, found, entry.digest) if found else None
    found = _inspect(engine, entry.reference)
    if found is None:
        return None
    if entry.build is not None:
        labels = found["Config"].get("Labels") or {}
        if labels.get(LABEL) != context_digest(entry.build):
            return None  # built from other files than those of today
        return _built(entry, found)
    return _pulled(entry, found, _digest_of(found, entry.reference))


def ensure(
    engine: Engine,
    name: str,
    entry: ImageEntry,
    on_progress: OnProgress,
    settings: BuildSettings | None = None,
) -> ImageHere:
    """The image, pulled or built first where it is missing.

    Raises NoImageError where it is not to be had, and MachineError where what is here under its
    name is not what the catalog pins.
    """
    here = find(engine, entry)
    if here is not None:
        return here
    _check_space(engine, name, entry)
    if entry.build is not None:
        build(engine, name, entry, on_progress, settings or BuildSettings.from_environment())
    else:
        try:
            pull(engine, entry.pinned_reference, on_progress)
        except NoImageError:
            _refuse_other_digest(engine, name, entry)
            raise
    here = find(engine, entry)
    if here is None:
        raise MachineError(
            f"the image {name} is still not what the catalog wants after fetching it"
        )
    return here


def _check_space(engine: Engine, name: str, entry: ImageEntry) -> None:
    """Raise NoImageError where the engine's disk is too small, as far as both are known."""
    try:
        free = shutil.disk_usage(engine.root_folder).free
    except OSError:
        return  # an engine in a machine of its own, such as Docker Desktop's
    # Two copies: an image is made, or its layers are downloaded, before it is unpacked.
    needed = 2 * (entry.disk or LEAST_SPACE)
    if free < needed:
        raise NoImageError(
            f"the image {name} needs about {human_bytes(needed)} on the engine's disk, "
            f"which has {human_bytes(free)} free",
            "docker system prune makes room",
        )


def _refuse_other_digest(engine: Engine, name: str, entry: ImageEntry) -> None:
    found = _inspect(engine, entry.reference)
    if found is None or entry.digest is None:
        return
    here = _digest_of(found, entry.reference) or f"no registry's (id {found['Id']})"
    raise MachineError(
        f"the image {name} has another digest: the catalog pins {entry.digest}, "
        f"but {entry.reference} on this machine is {here}, and the pinned one cannot be pulled",
        f"pull it: docker pull {entry.pinned_reference}",
    )


def _inspect(engine: Engine, reference: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = engine.client.api.inspect_image(reference)
        return found
    except ImageNotFound:
        return None
    except ENGINE_ERRORS as error:
        raise NoEngineError(f"the Docker engine failed: {explain(error)}") from error


def _digest_of(found: dict[str, Any], reference: str) -> str | None:
    for name in found.get("RepoDigests") or ():
        if repository(name) == repository(reference):
            return str(name.partition("@")[2])
    return None


def _pulled(entry: ImageEntry, found: dict[str, Any], digest: str | None) -> ImageHere:
    return ImageHere(str(found["Id"]), ImageIdentity(reference=entry.reference, digest=digest))


def _built(entry: ImageEntry, found: dict[str, Any]) -> ImageHere:
    # An image built here has no registry digest; its id is the digest of its configuration.
    return ImageHere(
        str(found["Id"]), ImageIdentity(reference=entry.reference, digest=str(found["Id"]))
    )
