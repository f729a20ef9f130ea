"""Build an image of the catalog from the project's `docker/` folder."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import DockerException

from harness.catalog import BuildEntry, ImageEntry
from harness.errors import NoImageError
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain
from harness.units import human_bytes

LABEL = "harness.context"
CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True)
class BuildSettings:
    """`base` replaces the Dockerfile's pinned one; `network` is the build's, in Docker's words."""

    base: str | None = None
    network: str | None = None

    @classmethod
    def from_environment(cls) -> BuildSettings:
        """What HARNESS_BASE_IMAGE and HARNESS_BUILD_NETWORK say."""
        return cls(
            os.environ.get("HARNESS_BASE_IMAGE") or None,
            os.environ.get("HARNESS_BUILD_NETWORK") or None,
        )


def folder() -> Path:
    """The Dockerfiles: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parents[1]
    beside = package.parent / "docker"
    return beside if (beside / "requirements").is_dir() else package / "_docker"


def _files(entry: BuildEntry) -> dict[str, bytes]:
    return {
        "Dockerfile": (folder() / entry.dockerfile).read_bytes(),
        f"requirements/{entry.requirements}": (
            folder() / "requirements" / entry.requirements
        ).read_bytes(),
    }


def context_digest(entry: BuildEntry) -> str:
    """SHA-256 over the files an image is built from: the label that tells a stale image."""
    total = hashlib.sha256()
    for name, content in sorted(_files(entry).items()):
        total.update(f"{name}:{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def build(
    engine: Engine,
    name: str,
    entry: ImageEntry,
    on_progress: Callable[[str], None],
    settings: BuildSettings,
) -> None:
    """Build it under the catalog's reference. Raises NoImageError with the build's last words."""
    assert entry.build is not None
    arguments = {"REQUIREMENTS": entry.build.requirements}
    if settings.base:
        arguments["BASE"] = settings.base
    size = f", about {human_bytes(entry.disk)}" if entry.disk else ""
    on_progress(f"building {entry.reference} ({entry.about}){size}; this takes some minutes")
    tail: list[str] = []
    try:
        lines = engine.client.api.build(
            fileobj=_context(entry.build),
            custom_context=True,
            tag=entry.reference,
            buildargs=arguments,
            labels={
                LABEL: context_digest(entry.build),
                "harness.about": entry.about,
                "harness.base": settings.base or "the Dockerfile's",
            },
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


def _texts(lines: Iterator[dict[str, Any]]) -> Iterator[str]:
    for line in lines:
        if "error" in line:
            raise DockerException(str(line["error"]).strip())
        for text in str(line.get("stream", "")).splitlines():
            if text.strip():
                yield text.strip()


def _context(entry: BuildEntry) -> io.BytesIO:
    files = {**_files(entry), "certs/ca.crt": _certificates()}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(content))
    packed.seek(0)
    return packed


def _certificates() -> bytes:
    for setting in CERTIFICATES:
        path = os.environ.get(setting)
        if path and Path(path).is_file():
            return Path(path).read_bytes()
    return b""
