"""A plan as text: a table, the ids alone, or JSON."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable

from tabulate import tabulate

from harness.campaign import PlannedCell, Preview, Supply
from harness.units import human_bytes, human_seconds


def table(plan: Preview) -> str:
    """For people."""
    rows = [_row(cell) for cell in plan.cells]
    supplies = [_supply("image", s) for s in plan.images]
    supplies += [_supply("dataset", s) for s in plan.datasets]
    parts = [
        tabulate(rows, headers=["case", "on", "in", "key", "expected"], disable_numparse=True),
        "",
        tabulate(supplies, headers=["needs", "", "state", "digest"], disable_numparse=True),
        "",
        *_facts(plan),
        *(f"refused: {cell.case.id}: {cell.refused}" for cell in plan.cells if cell.refused),
        *(f"problem: {problem}" for problem in plan.problems),
    ]
    return "\n".join(parts)


def ids(plan: Preview) -> str:
    """One case id a line, for scripts."""
    return "\n".join(cell.case.id for cell in plan.cells)


def json(plan: Preview) -> str:
    """Everything, the ingredients of each key among it."""
    content = {
        "cases": [_cell(cell) for cell in plan.cells],
        "left_out": list(plan.left_out),
        "images": [vars(supply) for supply in plan.images],
        "datasets": [vars(supply) for supply in plan.datasets],
        "repeats": plan.repeats,
        "order": plan.order,
        "expected_s": plan.expected_s,
        "cases_without_expectation": plan.unknown,
        "disk_needed_bytes": plan.disk_needed,
        "disk_free_bytes": plan.disk_free,
        "problems": list(plan.problems),
    }
    return json_module.dumps(content, indent=2, ensure_ascii=False)


FORMATS: dict[str, Callable[[Preview], str]] = {"table": table, "ids": ids, "json": json}


def _row(cell: PlannedCell) -> list[str]:
    on = "" if cell.device is None else cell.device.name or "the processor"
    if cell.refused:
        took = "refused"
    elif cell.same_as:
        took = f"as {cell.same_as}"
    else:
        took = "not known" if cell.expected_s is None else human_seconds(cell.expected_s)
    return [cell.case.id, on, cell.image or "", (cell.key or "")[:12], took]


def _supply(kind: str, supply: Supply) -> list[str]:
    size = f" ({human_bytes(supply.download)})" if supply.download else ""
    return [kind, supply.name, supply.state + size, (supply.digest or "")[:19]]


def _facts(plan: Preview) -> list[str]:
    measured = sum(cell.same_as is None and not cell.refused for cell in plan.cells)
    total = human_seconds(plan.expected_s) if plan.expected_s else "not known"
    unknown = f"; not measured here before: {plan.unknown}" if plan.unknown else ""
    fetched = [s.download for s in (*plan.images, *plan.datasets) if s.state != "here"]
    size = human_bytes(sum(number or 0 for number in fetched))
    more = ", and what has no known size" if None in fetched else ""
    facts = [
        f"cases: {len(plan.cells)}, measured: {measured}, repeats: {plan.repeats}, "
        f"order: {plan.order}",
        f"expected time: {total}{unknown}",
        f"to fetch or build: {size}{more}; on the disk {human_bytes(plan.disk_needed)} at a time, "
        f"{human_bytes(plan.disk_free)} free",
    ]
    if plan.left_out:
        facts.append(f"left out, for a GPU only: {', '.join(plan.left_out)}")
    return facts


def _cell(cell: PlannedCell) -> dict[str, object]:
    return {
        "id": cell.case.id,
        "case": cell.case.model_dump(mode="json"),
        "key": cell.key,
        "ingredients": dict(cell.ingredients),
        "device": None if cell.device is None else cell.device.model_dump(),
        "image": cell.image,
        "same_as": cell.same_as,
        "expected_s": cell.expected_s,
        "refused": cell.refused,
    }
