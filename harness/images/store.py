"""An image of the catalog on this machine: there by its digest, pulled, or built."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from docker.errors import ImageNotFound

from harness.catalog import BuildEntry, ImageEntry, Pinned, base_of
from harness.catalog.images import repository
from harness.errors import MachineError, NoEngineError, NoImageError
from harness.images import context
from harness.images.build import BASE_DIGEST, BASE_NAME, LABEL, BuildSettings, build
from harness.images.pull import pull
from harness.model import ImageIdentity
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain
from harness.units import human_bytes

OnProgress = Callable[[str], None]


@dataclass(frozen=True)
class ImageHere:
    """`id` is what the engine starts; `identity` is what the record says.

    `unpinned` says why no digest stands for it; empty where one does.
    """

    id: str
    identity: ImageIdentity
    unpinned: str = ""


BY_TAG = "its tag alone says what it is (harness images pin)"


class State(str, Enum):
    """What this machine has under an entry's name."""

    HERE = "here"
    STALE = "stale build"
    OTHER = "another image"
    MISSING = "missing"


@dataclass(frozen=True)
class Found:
    """`here` in the state HERE alone; `detail` says what is wrong otherwise."""

    state: State
    here: ImageHere | None = None
    detail: str = ""


def examine(engine: Engine, entry: ImageEntry) -> Found:
    """What is on this machine, compared with the catalog. Raises NoEngineError."""
    if entry.digest is not None:
        found = inspect(engine, entry.pinned_reference)
        if found is not None:
            return Found(State.HERE, _pulled(entry, found, entry.digest))
    found = inspect(engine, entry.reference)
    if found is None:
        return Found(State.MISSING)
    if entry.build is not None:
        return _built(entry, entry.build, found)
    digest = _digest_of(found, entry.reference)
    if entry.digest is None:
        return Found(State.HERE, _pulled(entry, found, digest))
    here = digest or f"no registry's (id {found['Id']})"
    return Found(State.OTHER, detail=f"{entry.reference} on this machine is {here}")


def find(engine: Engine, entry: ImageEntry) -> ImageHere | None:
    """The image where it is there as the catalog wants it, else None. Raises NoEngineError."""
    return examine(engine, entry).here


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
    here = find(engine, entry) or _fetch(engine, name, entry, on_progress, settings)
    tell_pinning(name, here, on_progress)
    return here


def tell_pinning(name: str, here: ImageHere, on_progress: OnProgress) -> None:
    """Say that no digest stands for an image, and why, where that is so."""
    if here.unpinned:
        on_progress(f"the image {name} is unpinned: {here.unpinned}")


def _fetch(
    engine: Engine,
    name: str,
    entry: ImageEntry,
    on_progress: OnProgress,
    settings: BuildSettings | None,
) -> ImageHere:
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
    if free < entry.room_needed:
        raise NoImageError(
            f"the image {name} needs about {human_bytes(entry.room_needed)} on the engine's disk, "
            f"which has {human_bytes(free)} free",
            f"{engine.kind} system prune makes room",
        )


def _refuse_other_digest(engine: Engine, name: str, entry: ImageEntry) -> None:
    found = examine(engine, entry)
    if found.state is State.OTHER:
        raise MachineError(
            f"the image {name} has another digest: the catalog pins {entry.digest}, "
            f"but {found.detail}, and the pinned one cannot be pulled",
            f"pull it: {engine.kind} pull {entry.pinned_reference}",
        )


def inspect(engine: Engine, reference: str) -> dict[str, Any] | None:
    """What the engine knows of an image; None where it is not here. Raises NoEngineError."""
    try:
        found: dict[str, Any] = engine.client.api.inspect_image(reference)
        return found
    except ImageNotFound:
        return None
    except ENGINE_ERRORS as error:
        raise NoEngineError(f"the engine failed: {explain(error)}") from error


def _digest_of(found: dict[str, Any], reference: str) -> str | None:
    for name in found.get("RepoDigests") or ():
        if repository(name) == repository(reference):
            return str(name.partition("@")[2])
    return None


def _pulled(entry: ImageEntry, found: dict[str, Any], digest: str | None) -> ImageHere:
    why = "" if entry.digest else BY_TAG
    return _as_here(entry, found, digest, why)


def _built(entry: ImageEntry, build: BuildEntry, found: dict[str, Any]) -> Found:
    labels: dict[str, str] = found["Config"].get("Labels") or {}
    if labels.get(LABEL) != context.digest(build):
        return Found(State.STALE, detail="built from other files than those of today")
    # An image built here has no registry digest; its id is the digest of its configuration.
    here = _as_here(entry, found, str(found["Id"]), _why_unpinned(base_of(build), labels))
    return Found(State.HERE, here)


def _why_unpinned(base: Pinned, labels: dict[str, str]) -> str:
    built_on = labels.get(BASE_NAME)
    if built_on != base.reference:
        return f"it is built on {built_on}, not on {base.reference}"
    if base.digest is None or labels.get(BASE_DIGEST) != base.digest:
        return f"the tag alone says what its base {base.reference} is (harness images pin)"
    return ""


def _as_here(
    entry: ImageEntry, found: dict[str, Any], digest: str | None, unpinned: str
) -> ImageHere:
    identity = ImageIdentity(reference=entry.reference, digest=digest, pinned=not unpinned)
    return ImageHere(str(found["Id"]), identity, unpinned)
