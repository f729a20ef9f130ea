"""Small files of /proc, /sys and the control groups."""

from __future__ import annotations

from pathlib import Path


def read(path: Path) -> str | None:
    """What a file holds, without blanks around it; None where it cannot be read."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return None


def number(path: Path) -> int | None:
    """The whole number that a file holds; None where it holds none, such as ``max``."""
    try:
        return int(read(path) or "")
    except ValueError:
        return None


def counters(path: Path) -> dict[str, int]:
    """What a file of lines such as ``usage_usec 12`` counts; empty where it cannot be read."""
    pairs = (line.partition(" ")[::2] for line in (read(path) or "").splitlines())
    return {name: int(value) for name, value in pairs if value.isdecimal()}
