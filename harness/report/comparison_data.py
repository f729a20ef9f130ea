"""A comparison of two runs for spreadsheets and programs."""

from __future__ import annotations

import json as json_module
from typing import Any

from harness.analysis.comparison import Compared, Comparison, Side
from harness.analysis.gate import Gate
from harness.analysis.ratio import METHOD
from harness.analysis.statistics import CONFIDENCE
from harness.results.run import RunInfo


def json(comparison: Comparison, gate: Gate | None = None) -> str:
    """One object; ratios are NEW over BASE, limits fractions."""
    content: dict[str, Any] = {
        "base": _run(comparison.base),
        "new": _run(comparison.new),
        "value": comparison.value,
        "more_is_faster": comparison.more_is_faster,
        "method": METHOD,
        "confidence": CONFIDENCE,
        "cases": [_case(case) for case in comparison.cases],
    }
    if gate is not None:
        content["gate"] = {
            "limit": gate.limit,
            "passed": gate.passed,
            "tested": [case.id for case in gate.tested],
            "slower": [case.id for case in gate.slower],
            "failing": [case.id for case in gate.failing],
            "open": [case.id for case in gate.open],
            "untested": [case.id for case in gate.untested],
        }
    return json_module.dumps(content, indent=2, ensure_ascii=False)


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """One flat mapping a case, all with the same names."""
    return [_flat(case, comparison.value) for case in comparison.cases]


def _run(info: RunInfo) -> dict[str, Any]:
    return {"run_id": info.run_id, "machine": info.machine, "matrix_sha256": info.matrix_sha256}


def _case(case: Compared) -> dict[str, Any]:
    alike = case.likeness
    return {
        "case": case.id,
        "verdict": case.verdict.value,
        "ratio": case.ratio.value if case.ratio else None,
        "interval": case.ratio.interval if case.ratio else None,
        "benchmark": alike.sameness.value if alike else None,
        "differences": [{"name": d.name, "base": d.base, "new": d.new} for d in alike.differences]
        if alike
        else [],
        "notes": case.notes,
        "base": _side(case.base),
        "new": _side(case.new),
    }


def _side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "case_id": side.case.id,
        "mean": side.mean,
        "figures": side.figures,
        "statuses": [record.status.value for record in side.records],
        "predicted": side.predicted,
        "synthetic": side.synthetic,
    }


def _flat(case: Compared, value: str) -> dict[str, Any]:
    low, high = (case.ratio.interval if case.ratio else None) or (None, None)
    alike = case.likeness
    row: dict[str, Any] = {
        "case": case.id,
        "value": value,
        "verdict": case.verdict.value,
        "ratio": case.ratio.value if case.ratio else None,
        "low": low,
        "high": high,
        "benchmark": alike.sameness.value if alike else None,
        "differences": "; ".join(str(d) for d in alike.differences) if alike else None,
        "notes": "; ".join(case.notes),
    }
    for name, side in (("base", case.base), ("new", case.new)):
        row |= {
            f"{name}.mean": side.mean if side else None,
            f"{name}.repeats": len(side.figures) if side else None,
            f"{name}.statuses": " ".join(r.status.value for r in side.records) if side else None,
            f"{name}.predicted": side.predicted if side else None,
            f"{name}.synthetic": side.synthetic if side else None,
        }
    return row
