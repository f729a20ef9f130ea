"""The records for spreadsheets and programs."""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
from collections.abc import Mapping
from typing import Any

from harness.results.reading import Run


def json(run: Run) -> str:
    """One object: the run's own facts and its standing records."""
    content = {
        "run": run.info.model_dump(mode="json"),
        "records": [record.model_dump(mode="json") for record in run.standing().values()],
    }
    return json_module.dumps(content, indent=2, ensure_ascii=False)


def csv(run: Run) -> str:
    """One line a record; nested fields under dotted names."""
    rows = [flat(record.model_dump(mode="json")) for record in run.standing().values()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv_module.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level: ``timing.train_s``; lists become JSON."""
    row: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            row |= flat(inner, f"{prefix}{name}.")
        else:
            row[prefix + name] = (
                json_module.dumps(inner) if isinstance(inner, (list, dict)) else inner
            )
    return row
