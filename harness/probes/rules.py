"""The rules of the log watcher, read from rules.toml: what a line means, and why we know."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SIZE = rb"\d{1,15}(?:[.,]\d{1,9})?\s?(?:[KMGTP]i?)?B"
"""A size as allocators print it, with the decimal comma of some locales."""

MEMORY_KINDS = ("notice", "recoverable", "hard", "uncertain", "host")
OTHER_KINDS = ("resource", "harmless", "error", "doubtful", "passed-on", "aside")


@dataclass(frozen=True)
class Rule:
    """`pattern` decides about a line that holds one of `needles`; `order` is the rule's rank."""

    order: int
    id: str
    kind: str
    needles: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    source: str
    hits: tuple[str, ...]
    misses: tuple[str, ...] = ()
    resource: str | None = None
    hint: bool = False
    echo: bool = False

    @cached_property
    def first(self) -> Callable[[bytes], re.Match[bytes] | None]:
        """Where in a line the rule matches first; looked for only where it can."""
        anchored = self.pattern.pattern.startswith(b"^")
        return self.pattern.match if anchored else self.pattern.search


@cache
def rules() -> tuple[Rule, ...]:
    """All rules; the first that matches a line decides."""
    text = (resources.files("harness.probes") / "rules.toml").read_text("utf-8")
    return tuple(_rule(order, entry) for order, entry in enumerate(tomllib.loads(text)["rule"]))


def _rule(order: int, entry: dict[str, Any]) -> Rule:
    return Rule(
        order=order,
        id=entry["id"],
        kind=entry["kind"],
        needles=tuple(needle.encode() for needle in entry["needles"]),
        pattern=re.compile(entry["pattern"].encode().replace(b"{SIZE}", SIZE)),
        source=entry["source"],
        hits=tuple(entry["hits"]),
        misses=tuple(entry.get("misses", ())),
        resource=entry.get("resource"),
        hint=entry.get("hint", False),
        echo=entry.get("echo", False),
    )
