"""Where files are published: a setting of the user's first, then the catalog's mirrors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from harness.errors import InputError

MIRROR_SETTING = "HARNESS_MIRROR"
"""One base address asked before the catalog's; files lie at `<base>/<folder>/<file>`."""


def mirrors_of(
    folder: str, published: Sequence[str], override: Mapping[str, Sequence[str]] | None = None
) -> tuple[str, ...]:
    """Base addresses for the files of `folder`, each ending in a slash, in the order to ask them.

    `override` (by folder) replaces the `published` ones. Raises InputError where an address is
    none that can be asked.
    """
    bases = list(published if override is None else override.get(folder, ()))
    setting = os.environ.get(MIRROR_SETTING, "").strip()
    if setting:
        bases.insert(0, f"{setting.rstrip('/')}/{folder}/")
    return tuple(dict.fromkeys(_checked(base) for base in bases))


def shown(address: str) -> str:
    """The address without what may be secret in it: user, password, query."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path}"


def listed(names: Iterable[str]) -> str:
    """The first three names, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - 3} more" if len(known) > 3 else ""
    return ", ".join(known[:3]) + more


def _checked(base: str) -> str:
    try:
        parts = urlsplit(base)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise InputError(
            f"{shown(base)} is no mirror: it must begin with http:// or https:// and a host, "
            "and end without ? and #",
            f"set {MIRROR_SETTING} to an address such as https://mirror.example/datasets",
        )
    return base if base.endswith("/") else base + "/"
