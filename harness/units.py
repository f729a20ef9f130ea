"""Sizes, durations and percentages as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SIZES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_TIMES = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str | int) -> int:
    """Bytes from ``512m``, ``6g``, ``1.5 GiB`` or a number. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)(?:i?b)?\s*", str(text).lower())
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{text!r} is no size; write 512m, 6g or a number of bytes")
    return int(float(match[1]) * _SIZES[match[2]])


def parse_duration(text: str | int | float) -> float:
    """Seconds from ``90``, ``90s``, ``30m``, ``2h`` or ``1d``. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([smhd]?)\s*", str(text).lower())
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{text!r} is no duration; write 90s, 30m or 2h")
    return float(match[1]) * _TIMES[match[2]]


def parse_percent(text: str) -> float:
    """The fraction meant by ``5%`` or ``5``: 0.05. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d{1,4}(?:\.\d{1,6})?)\s*%?\s*", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is no percentage; write 5% or 2.5")
    return float(match[1]) / 100


def parse_share(text: str) -> float:
    """A percentage above 0 and below 100 as a fraction. Raises ValueError."""
    share = parse_percent(text)
    if not 0 < share < 1:
        raise ValueError(f"{text!r} is not between 0 and 100%; write 1% or 0.5%")
    return share


def human_bytes(count: int | None) -> str:
    """``3.42 GiB``; ``?`` where it is not known."""
    if count is None:
        return "?"
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TiB"


def human_seconds(seconds: float) -> str:
    """``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def named(names: Iterable[str], most: int) -> str:
    """``a, b and 3 more``: each once, at most so many of them by name."""
    different = list(dict.fromkeys(names))
    more = len(different) - most
    return ", ".join(different[:most]) + (f" and {more} more" if more > 0 else "")
