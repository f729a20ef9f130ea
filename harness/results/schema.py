"""The JSON Schema of a record: ``python -m harness.results.schema`` prints it for docs/."""

from __future__ import annotations

import json
import sys
from typing import Any

from harness.model import Record


def record_schema() -> dict[str, Any]:
    """The schema of one line of records.jsonl, as records are written."""
    schema = Record.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(record_schema(), indent=2) + "\n")
