"""Wheels on this machine that an image's pinned packages can be installed from."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;#]+)")


def pins(requirements: str) -> dict[str, str]:
    """Versions by normalised name, of the lines that pin one."""
    found = map(PINNED.match, requirements.splitlines())
    return {_normal(pin["name"]): pin["version"] for pin in found if pin}


def local_wheels(requirements: str) -> list[Path]:
    """Wheels for these pins in the folders that pip's ``find-links`` names on this machine.

    A wheel's local version (``+cpu``) is left out of the comparison, as pip does.
    """
    wanted = pins(requirements)
    return [
        wheel
        for folder in _folders(_find_links())
        for wheel in sorted(folder.glob("*.whl"))
        if wanted.get(_normal(wheel.name.split("-")[0])) == _public_version(wheel)
    ]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _public_version(wheel: Path) -> str:
    return wheel.name.split("-")[1].partition("+")[0]


def _folders(links: Iterable[str]) -> list[Path]:
    """The links that are folders here, each once; an address elsewhere is pip's own affair."""
    paths = [
        Path(url2pathname(urlsplit(link).path) if link.startswith("file:") else link)
        for link in links
    ]
    return [path for path in dict.fromkeys(paths) if path.is_dir()]


def _find_links() -> list[str]:
    """pip's setting, from its files and the environment; nothing where pip is not here."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0:
        return os.environ.get("PIP_FIND_LINKS", "").split()
    told = (line.partition("=") for line in asked.stdout.splitlines())
    return [
        link
        for name, _, value in told
        if name.endswith(".find-links")
        for link in str(ast.literal_eval(value)).split()
    ]
