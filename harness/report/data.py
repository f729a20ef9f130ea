"""The records for spreadsheets and programs."""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.analysis.pivot import TIMES, Cell, lay_out
from harness.analysis.warnings import find_warnings, summaries
from harness.report.groups import groups_of
from harness.results.reading import Run


def json(runs: Sequence[Run]) -> str:
    """One object: each run's facts and standing records, what repeats say together, warnings."""
    groups = groups_of(runs)
    content = {
        "runs": [
            {
                **run.info.model_dump(mode="json"),
                "records": [record.model_dump(mode="json") for record in run.standing().values()],
            }
            for run in runs
        ],
        "summary": [
            {"machine": group.name or runs[0].info.machine, "case_id": case_id, "value": value}
            | asdict(found)
            for group in groups
            for value in TIMES
            for case_id, found in summaries(group.records, value).items()
        ],
        "warnings": [asdict(warning) for warning in find_warnings(groups)],
    }
    return json_module.dumps(content, indent=2, ensure_ascii=False)


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
    """A line for each row of the table; an empty field where there is no case."""
    table = lay_out(groups_of(runs), rows, cols).table(value)
    text = io.StringIO()
    writer = csv_module.writer(text, lineterminator="\n")
    writer.writerow([" ".join(rows), *table.columns])
    for name, cells in zip(table.rows, table.cells, strict=True):
        writer.writerow([name, *("" if cell is None else _bare(cell, value) for cell in cells)])
    return text.getvalue().rstrip("\n")


def json_pivot(runs: Sequence[Run], value: str, rows: Sequence[str], cols: Sequence[str]) -> str:
    """The table with all that is known of each cell."""
    return json_module.dumps(
        {"value": value, **asdict(lay_out(groups_of(runs), rows, cols).table(value))}, indent=2
    )


def _bare(cell: Cell, value: str) -> str | float:
    """The figure, or how the case ended where there is none."""
    if value != "status" and cell.value is not None:
        return cell.value
    held = ["pressure" if cell.pressure else "ok"] if cell.completed and value == "status" else []
    statuses = [*held, *dict.fromkeys(status.value for status in cell.failed)]
    return ", ".join(statuses) or ("none given" if cell.completed else "not run")
