"""The records for spreadsheets and programs."""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic_core import to_json

from harness.analysis.bottleneck import achieved_flops, bottleneck, share_of_peak
from harness.analysis.pivot import TIMES, lay_out
from harness.analysis.warnings import find_warnings, placed, summaries
from harness.catalog import models
from harness.model import Record
from harness.report import cost, verdict
from harness.report.cells import shown
from harness.report.groups import groups_of, measured
from harness.results.reading import Run


def json(runs: Sequence[Run]) -> str:
    """One object: each run's facts and standing records, what repeats say together, warnings,
    costs where a price is known, verdicts."""
    groups = groups_of(measured(runs))
    content = {
        "runs": [{**dict(run.info), "records": list(run.standing().values())} for run in runs],
        "summary": [
            {"machine": group.name or runs[0].info.machine, "case_id": case_id, "value": value}
            | asdict(found)
            for group in groups
            for value in TIMES
            for case_id, found in summaries(group.records, value).items()
        ],
        "speed": [_speed(at, record) for at, record in placed(groups)],
        "warnings": find_warnings(groups),
        "cost": cost.as_data(runs),
        "verdicts": verdict.as_data(groups_of(runs)),
    }
    return to_json(content, indent=2, inf_nan_mode="null").decode()


def _speed(at: str, record: Record) -> dict[str, Any]:
    """What a record's images per second come to, and what the model asks for an image."""
    model = models().get(record.case.model)
    return {
        "case": at,
        "repeat": record.repeat,
        "achieved_flops": achieved_flops(record),
        "share_of_peak": share_of_peak(record),
        "bottleneck": bottleneck(record),
        "training_flops_per_image": model.training_flops if model else None,
        "flops_source": model.flops_source if model else None,
    }


def csv(runs: Sequence[Run]) -> str:
    """One line a record; nested fields under dotted names."""
    rows = [
        flat(record.model_dump(mode="json")) for run in runs for record in run.standing().values()
    ]
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


def csv_pivot(runs: Sequence[Run], value: str, rows: Sequence[str], cols: Sequence[str]) -> str:
    """A line for each row of the table, marked as the table is; JSON has the bare figures."""
    table = lay_out(groups_of(measured(runs)), rows, cols).table(value)
    text = io.StringIO()
    writer = csv_module.writer(text, lineterminator="\n")
    writer.writerow([" ".join(rows), *table.columns])
    for name, cells in zip(table.rows, table.cells, strict=True):
        writer.writerow([name, *(shown(cell, value) for cell in cells)])
    return text.getvalue().rstrip("\n")


def json_pivot(runs: Sequence[Run], value: str, rows: Sequence[str], cols: Sequence[str]) -> str:
    """The table with all that is known of each cell."""
    return json_module.dumps(
        {"value": value, **asdict(lay_out(groups_of(measured(runs)), rows, cols).table(value))},
        indent=2,
    )
