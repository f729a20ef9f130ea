"""The images: where each comes from, by digest where one is known, or how it is built."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from harness.catalog.toml import first_problem, shipped, users
from harness.errors import InputError
from harness.model import Frozen

SETTING = "HARNESS_IMAGES"
"""Names a TOML file whose `[images.NAME]` tables join (or replace) the shipped ones."""


class BuildEntry(Frozen):
    """Files of the `docker/` folder that an image is built from."""

    dockerfile: str
    requirements: str


class ImageEntry(Frozen):
    """`digest` pins what `reference` must be; `build` says how to make it here instead.

    `min_driver` is the oldest NVIDIA driver that the image runs on, such as ``570``; `disk` the
    bytes it takes unpacked, where somebody measured them.
    """

    about: str = ""
    reference: str
    framework: str
    digest: str | None = None
    build: BuildEntry | None = None
    min_driver: str | None = Field(default=None, pattern=r"^\d+(\.\d+)*$")
    disk: int | None = None

    @property
    def pinned_reference(self) -> str:
        """The reference by digest, as an engine pulls it; by tag where no digest is known."""
        if self.digest is None:
            return self.reference
        return f"{repository(self.reference)}@{self.digest}"


def repository(reference: str) -> str:
    """An image reference without its tag or digest; a registry's port is left alone."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


@cache
def images() -> dict[str, ImageEntry]:
    """Shipped images and those of the file named by HARNESS_IMAGES. Raises InputError."""
    found = _entries(shipped("images.toml")["images"], "the shipped catalog")
    path = os.environ.get(SETTING)
    if path:
        found |= _entries(users(Path(path)).get("images", {}), path)
    return found


def _entries(tables: dict[str, Any], source: str) -> dict[str, ImageEntry]:
    try:
        return {name: ImageEntry(**entry) for name, entry in tables.items()}
    except (ValidationError, TypeError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise InputError(f"{source}: a wrong image entry: {problem}") from error


def default_image(framework: str, device_kind: str) -> str:
    """The image used where a case names none; `device_kind` is ``gpu`` or ``cpu``."""
    name: str = shipped("images.toml")["defaults"][framework][device_kind]
    return name
