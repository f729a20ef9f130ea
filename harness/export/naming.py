"""Names that Kubernetes and SkyPilot take, made from a case's id or a GPU's name."""

from __future__ import annotations

import hashlib
import re

LONGEST = 63
"""Characters of a DNS label (RFC 1123). A Job's name has to be one: it becomes a label's value."""

_HASH = 8


def dns_name(text: str, salt: str = "", prefix: str = "harness") -> str:
    """`text` as a DNS label: lower case, digits and ``-``, at most 63 characters.

    What was lost is made good by a hash over `text` and `salt`, so that two texts have two names.
    """
    short = hashlib.sha256(f"{salt}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    room = LONGEST - len(prefix) - _HASH - 2
    return "-".join(part for part in (prefix, slug(text)[:room].strip("-"), short) if part)


def slug(text: str) -> str:
    """Lower case, digits, and one ``-`` for whatever stands between."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
