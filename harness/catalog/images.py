"""The images: where each comes from, by digest where one is known, or how it is built."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from harness.catalog.toml import first_problem, parsed, shipped, users, users_text
from harness.errors import InputError
from harness.model import Frozen

FILE = "images.toml"
SHIPPED = Path(__file__).with_name(FILE)
LEAST_SPACE = 1 << 30
"""Bytes assumed for an image whose size nobody measured: no framework is smaller."""

SETTING = "HARNESS_IMAGES"
"""Names a TOML file whose `[images.NAME]` tables join (or replace) the shipped ones."""

_sent: str | None = None
"""The catalog of whoever sent a case to this process."""


Entry = TypeVar("Entry", bound="Pinned")


class Pinned(Frozen):
    """Something that a registry serves; `digest` pins what `reference` must be."""

    reference: str
    digest: str | None = None

    @property
    def pinned_reference(self) -> str:
        """The reference by digest, as an engine pulls it; by tag where no digest is known."""
        if self.digest is None:
            return self.reference
        return f"{repository(self.reference)}@{self.digest}"


class BuildEntry(Frozen):
    """Files of the `docker/` folder that an image is built from, and the name of its base.

    The base is an entry of ``[bases]``, or an image that is pulled.
    """

    dockerfile: str
    base: str
    requirements: str | None = None
    scripts: tuple[str, ...] = ()


class ImageEntry(Pinned):
    """An image that cases run in; `build` says how it is made here where no registry serves it.

    `min_driver` is the oldest NVIDIA driver that the image runs on, such as ``570``; `disk` the
    bytes it takes unpacked, where somebody measured them.
    """

    about: str = ""
    framework: str
    build: BuildEntry | None = None
    min_driver: str | None = Field(default=None, pattern=r"^\d+(\.\d+)*$")
    disk: int | None = None

    @property
    def room_needed(self) -> int:
        """Bytes of disk: it is made, or its layers are downloaded, before it is unpacked."""
        return 2 * (self.disk or LEAST_SPACE)


def repository(reference: str) -> str:
    """An image reference without its tag or digest; a registry's port is left alone."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


@cache
def images() -> dict[str, ImageEntry]:
    """Shipped images and those of the file named by HARNESS_IMAGES. Raises InputError."""
    return _entries("images", ImageEntry)


@cache
def bases() -> dict[str, Pinned]:
    """What built images start from, from the same files. Raises InputError."""
    return _entries("bases", Pinned)


def base_of(build: BuildEntry) -> Pinned:
    """The base that an image is built on. Raises InputError where the catalog lacks it."""
    served = {name: image for name, image in images().items() if image.build is None}
    try:
        return {**served, **bases()}[build.base]
    except KeyError:
        raise InputError(f"the image catalog has no base {build.base}") from None


def own_catalog() -> str | None:
    """The user's own file as text, so that it can go along to other machines. Raises InputError."""
    path = os.environ.get(SETTING)
    return users_text(Path(path)) if path else None


def adopt(text: str) -> None:
    """Let `text` be the user's own file in this process: a case's sender means its images."""
    global _sent  # noqa: PLW0603 - one sender a process, as one environment
    if text != _sent:
        _sent = text
        images.cache_clear()
        bases.cache_clear()


@dataclass(frozen=True)
class Place:
    """Where an entry is written: `[table.name]` of `file`."""

    file: Path
    table: str
    name: str


def place_of(name: str) -> Place:
    """Where the base or image of that name is written: in the user's file, where it is there."""
    table = "bases" if name in bases() else "images"
    path = os.environ.get(SETTING)
    if path and name in users(Path(path)).get(table, {}):
        return Place(Path(path), table, name)
    return Place(SHIPPED, table, name)


def _entries(table: str, kind: type[Entry]) -> dict[str, Entry]:
    found = _checked(shipped(FILE)[table], kind, "the shipped catalog")
    source = os.environ.get(SETTING) if _sent is None else "the sender's image catalog"
    text = own_catalog() if _sent is None else _sent
    if source and text is not None:
        found |= _checked(parsed(text, source).get(table, {}), kind, source)
    return found


def _checked(tables: dict[str, Any], kind: type[Entry], source: str) -> dict[str, Entry]:
    try:
        return {name: kind(**entry) for name, entry in tables.items()}
    except (ValidationError, TypeError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise InputError(f"{source}: a wrong image entry: {problem}") from error


def default_image(framework: str, device_kind: str) -> str:
    """The image used where a case names none; `device_kind` is ``gpu``, ``rocm`` or ``cpu``.

    Raises InputError where the catalog has none for it.
    """
    try:
        name: str = shipped(FILE)["defaults"][framework][device_kind]
    except KeyError:
        raise InputError(
            f"the image catalog has no image of {framework} for the device {device_kind}",
            "name one of your own in the matrix (image: NAME, see HARNESS_IMAGES)",
        ) from None
    return name
