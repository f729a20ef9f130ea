"""The answer as lines to read, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from harness.fit.finding import Answer
from harness.units import human_bytes, human_seconds


def text(answer: Answer) -> str:
    """A line for each probe, and the result in the last."""
    rows = [
        [
            record.case.batch_size,
            record.status.value,
            human_bytes(answer.room.peak(record)),
            human_seconds(record.wall_s) if record.wall_s is not None else "",
        ]
        for record in answer.records
    ]
    table = tabulate(rows, ["batch", "status", "peak memory", "took"], "simple")
    broke_off = [f"broke off: {answer.ended}"] if answer.ended is not None else []
    lines = [table, "", f"memory: {answer.room}", f"run: {answer.folder}", *broke_off]
    return "\n".join([*lines, str(answer.fit)])


def as_json(answer: Answer) -> str:
    """The same as one object; sizes in bytes, times in seconds."""
    room = answer.room
    content: Mapping[str, Any] = {
        "run": str(answer.folder),
        "result": str(answer.fit),
        "largest_batch": answer.fit.largest,
        **answer.fit.model_dump(),
        "settled": answer.settled,
        "ended": answer.ended,
        "max_batch": answer.most,
        "memory": {"bytes": room.limit, "held_by": room.held_by},
        "probes": [
            {
                "batch": record.case.batch_size,
                "case_id": record.case_id,
                "status": record.status.value,
                "reason": record.reason,
                "peak_bytes": room.peak(record),
                "seconds": record.wall_s,
            }
            for record in answer.records
        ],
    }
    return json.dumps(content, indent=2)


FORMATS = {"text": text, "json": as_json}
