"""What an image is built from: the files, their digest, and the archive the engine is given."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import IO

from harness.catalog import BuildEntry, base_of

CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
PACKAGE = Path(__file__).parents[1]
BESIDE = PACKAGE.parent / "docker"


def folder() -> Path:
    """The Dockerfiles: beside the package in a checkout, inside it when installed."""
    return BESIDE if in_checkout() else PACKAGE / "_docker"


def in_checkout() -> bool:
    """Whether the harness runs from its sources, and not as an installed package."""
    return (BESIDE / "requirements").is_dir()


def requirements(entry: BuildEntry) -> str:
    """The text of its requirements file; empty where it has none."""
    if entry.requirements is None:
        return ""
    return (folder() / "requirements" / entry.requirements).read_text("utf-8")


def digest(entry: BuildEntry) -> str:
    """SHA-256 over the files and the base an image is built from: the label that tells a stale one.

    Wheels and certificates of the building machine are not in it: they only say where the pinned
    packages come from, and would make an image stale on the next machine.
    """
    total = hashlib.sha256(f"base:{base_of(entry).pinned_reference}\n".encode())
    for name, content in sorted(_files(entry).items()):
        total.update(f"{name}:{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def pack(entry: BuildEntry, wheels: list[Path], into: IO[bytes]) -> None:
    """Write the build context as a tar archive; a wheel may be larger than memory should be."""
    files = {**_files(entry), "certs/ca.crt": _certificates(), "wheels/.keep": b""}
    with tarfile.open(fileobj=into, mode="w") as tar:
        for name, content in files.items():
            tar.addfile(_member(name, len(content)), io.BytesIO(content))
        for wheel in wheels:
            with wheel.open("rb") as file:
                tar.addfile(_member(f"wheels/{wheel.name}", wheel.stat().st_size), file)
    into.seek(0)


def _files(entry: BuildEntry) -> dict[str, bytes]:
    files = {"Dockerfile": (folder() / entry.dockerfile).read_bytes()}
    if entry.requirements is not None:
        files[f"requirements/{entry.requirements}"] = requirements(entry).encode()
    for script in entry.scripts:
        files[script] = (folder() / script).read_bytes()
    return files


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member


def _certificates() -> bytes:
    for setting in CERTIFICATES:
        path = os.environ.get(setting)
        if path and Path(path).is_file():
            return Path(path).read_bytes()
    return b""
