"""When two results are the same benchmark: the case key and the software key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SOFTWARE = (
    "python",
    "framework",
    "framework_build",
    "keras",
    "numpy",
    "cuda",
    "cudnn",
    "jit",
    "tf32",
    "policy",
    "deterministic",
    "xla_flags",
    "memory_growth",
)
"""What the workload reports that can change its figures or its mathematics."""


def case_key(ingredients: Mapping[str, Any]) -> str:
    """SHA-256 over the request; the planner chooses the ingredients, none of them a machine's."""
    return _sha256(ingredients)


def software_key(versions: Mapping[str, Any]) -> str | None:
    """SHA-256 over what the workload ran on; None where it never came to say so."""
    if not versions:
        return None
    return _sha256({name: versions.get(name) for name in SOFTWARE})


def _sha256(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
