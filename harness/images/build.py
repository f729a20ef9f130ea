"""Build an image of the catalog from the project's `docker/` folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from docker.errors import DockerException

from harness.catalog import BuildEntry, ImageEntry, base_of
from harness.catalog.images import repository
from harness.errors import NoImageError
from harness.images import context
from harness.images.wheels import local_wheels, pins
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain
from harness.units import human_bytes

LABEL = "harness.context"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True)
class BuildSettings:
    """`base` replaces the catalog's; `network` is the build's, in Docker's words."""

    base: str | None = None
    network: str | None = None

    @classmethod
    def from_environment(cls) -> BuildSettings:
        """What HARNESS_BASE_IMAGE and HARNESS_BUILD_NETWORK say."""
        return cls(
            os.environ.get("HARNESS_BASE_IMAGE") or None,
            os.environ.get("HARNESS_BUILD_NETWORK") or None,
        )


def build(
    engine: Engine,
    name: str,
    entry: ImageEntry,
    on_progress: Callable[[str], None],
    settings: BuildSettings,
) -> None:
    """Build it under the catalog's reference. Raises NoImageError with the build's last words."""
    assert entry.build is not None
    size = f", about {human_bytes(entry.disk)}" if entry.disk else ""
    on_progress(f"building {entry.reference} ({entry.about}){size}; this takes some minutes")
    wheels = local_wheels(context.requirements(entry.build))
    for wheel in wheels:
        on_progress(f"with {wheel.name}, which is on this machine")
    tail: list[str] = []
    try:
        with tempfile.TemporaryFile() as packed:
            context.pack(entry.build, wheels, packed)
            lines = engine.client.api.build(
                fileobj=packed,
                custom_context=True,
                tag=entry.reference,
                buildargs=_arguments(entry.build, settings),
                labels=labels(entry, settings),
                network_mode=settings.network,
                rm=True,
                forcerm=True,
                decode=True,
                timeout=3600,
            )
            for text in _texts(lines):
                tail = [*tail[-7:], text]
                on_progress(text)
    except ENGINE_ERRORS as error:
        tail.append(explain(error))
        said = "\n  ".join(tail)
        raise NoImageError(f"the image {name} could not be built:\n  {said}", _STEP) from error


_STEP = (
    "where the base cannot be pulled, docker/stand-in-base.sh makes one: "
    "HARNESS_BASE_IMAGE=harness/stand-in-base:bookworm; "
    "where a build has no network of its own: HARNESS_BUILD_NETWORK=host"
)


def _arguments(entry: BuildEntry, settings: BuildSettings) -> dict[str, str]:
    arguments = {"BASE": settings.base or base_of(entry).pinned_reference}
    if entry.requirements is not None:
        arguments["REQUIREMENTS"] = entry.requirements
    return arguments


def labels(entry: ImageEntry, settings: BuildSettings) -> dict[str, str]:
    """What the image says of itself: what it holds, what it was made from."""
    assert entry.build is not None
    base = base_of(entry.build)
    said = {
        "org.opencontainers.image.title": repository(entry.reference),
        "org.opencontainers.image.version": entry.reference.rpartition(":")[2],
        "org.opencontainers.image.description": entry.about,
        BASE_NAME: settings.base or base.reference,
        "harness.framework": entry.framework,
        LABEL: context.digest(entry.build),
    }
    if settings.base is None and base.digest is not None:
        said[BASE_DIGEST] = base.digest
    pinned = pins(context.requirements(entry.build))
    asked_for = " ".join(f"{name}=={version}" for name, version in pinned.items())
    if asked_for:
        # A vendor's image may hold some of them in a version of its own, which stays.
        said["harness.pins" if entry.build.scripts else "harness.packages"] = asked_for
    return said


def _texts(lines: Iterator[dict[str, Any]]) -> Iterator[str]:
    for line in lines:
        if "error" in line:
            raise DockerException(str(line["error"]).strip())
        for text in str(line.get("stream", "")).splitlines():
            if text.strip():
                yield text.strip()
