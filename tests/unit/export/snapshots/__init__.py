"""Exported files, word for word.

``HARNESS_SNAPSHOTS=write pytest tests/unit/export`` writes them anew: read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path


def same(name: str, text: str) -> None:
    path = Path(__file__).with_name(name)
    if os.environ.get("HARNESS_SNAPSHOTS") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text("utf-8")
