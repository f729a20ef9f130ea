"""GPUs by the names that SkyPilot gives them, and what the clouds rent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from harness.catalog.toml import shipped

FILE = "gpu_names.toml"


@cache
def gpu_names() -> Mapping[str, tuple[str, ...]]:
    """Each name, and the clouds that offered such a GPU when the list was read."""
    return {name: tuple(clouds) for name, clouds in shipped(FILE)["names"].items()}


@cache
def clouds() -> Mapping[str, str]:
    """Each cloud, and what it rents: ``vm`` or ``container``."""
    found: dict[str, str] = shipped(FILE)["clouds"]
    return found
