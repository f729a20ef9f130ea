"""The tables that people read: the machines, the study's table, repeats, details, warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from tabulate import tabulate

from harness.analysis.pivot import Cell, Group, Table, lay_out
from harness.analysis.statistics import METHOD, WITHIN_RUN, Summary
from harness.analysis.warnings import find_warnings, summaries
from harness.host.fingerprint import Fingerprint
from harness.model import Case, Record
from harness.report.baselines import PREDICTED, SYNTHETIC, published
from harness.report.groups import groups_of
from harness.results.reading import Run
from harness.units import human_bytes

NO_CASE, NOT_RUN = "", "not run"

MOST_DETAILS = 200
"""Rows of details that somebody reads; more of them are for programs."""
MOST_NAMED = 3
"""Cases that a warning names one by one."""

TITLES = {
    "total_execution_s": "Total execution time in seconds",
    "total_inference_s": "Total inference time in seconds (model loading + prediction)",
    "images_per_s": "Images per second in training",
    "peak_device_bytes": "Peak memory of the device",
    "peak_host_bytes": "Peak memory of the host",
    "status": "How it ended",
}

Grid = Callable[..., str]
"""tabulate with its style settled."""


def plain(runs: Sequence[Run]) -> str:
    """For a terminal."""
    return _render(runs, "simple", "{}")


def markdown(runs: Sequence[Run]) -> str:
    """For a document."""
    return _render(runs, "github", "## {}\n")


def plain_pivot(runs: Sequence[Run], value: str, rows: Sequence[str], cols: Sequence[str]) -> str:
    """One table of the user's own, for a terminal."""
    return _pivot(runs, (value, rows, cols), "simple", "{}")


def markdown_pivot(
    runs: Sequence[Run], value: str, rows: Sequence[str], cols: Sequence[str]
) -> str:
    """One table of the user's own, for a document."""
    return _pivot(runs, (value, rows, cols), "github", "## {}\n")


def _render(runs: Sequence[Run], style: str, heading: str) -> str:
    grid = partial(tabulate, tablefmt=style, disable_numparse=True)
    groups = groups_of(runs)
    records = [record for group in groups for record in group.records]
    cases = [case for group in groups for case in group.cases]
    layout = lay_out(groups, ["dataset"], ["model"])
    parts = [
        *_machines(runs, grid, heading),
        heading.format(TITLES["total_execution_s"] + _over(cases)),
        _table(layout.table("total_execution_s"), "total_execution_s", grid, "dataset"),
        "",
        heading.format(TITLES["total_inference_s"]),
        _table(layout.table("total_inference_s"), "total_inference_s", grid, "dataset"),
        *(published(records, grid, heading) if len(groups) == 1 else []),
        *_repeats(groups, grid, heading),
        "",
        heading.format("Details"),
        _details(records, grid),
        "",
        *_reasons(records),
        *_notes(runs, groups),
    ]
    return "\n".join(parts)


def _pivot(
    runs: Sequence[Run],
    wanted: tuple[str, Sequence[str], Sequence[str]],
    style: str,
    heading: str,
) -> str:
    value, rows, cols = wanted
    grid = partial(tabulate, tablefmt=style, disable_numparse=True)
    groups = groups_of(runs)
    table = lay_out(groups, rows, cols).table(value)
    cases = [case for group in groups for case in group.cases]
    title = TITLES[value] + (_over(cases) if value == "total_execution_s" else "")
    body = _table(table, value, grid, " ".join(rows))
    return "\n".join([heading.format(title), body, "", *_notes(runs, groups)])


def _over(cases: Iterable[Case]) -> str:
    protocols = sorted({case.protocol for case in cases})
    return f" (training + validation, protocol {', '.join(protocols)})"


def _machines(runs: Sequence[Run], grid: Grid, heading: str) -> list[str]:
    parts = []
    for run in {run.info.machine: run for run in runs}.values():
        parts += [
            heading.format(f"This machine: {run.info.machine}"),
            grid(_hardware(run.info.fingerprint), headers=["part", "what it is"]),
            "",
        ]
    return parts


def _hardware(machine: Fingerprint) -> list[list[str]]:
    gpus = [
        [f"GPU {n}", f"{gpu.name}, {human_bytes(gpu.memory)}"] for n, gpu in enumerate(machine.gpus)
    ]
    return [
        ["CPU", f"{machine.cpu} ({machine.cpu_count} threads)"],
        *(gpus or [["GPU", "none that NVML sees"]]),
        ["RAM", human_bytes(machine.ram)],
        ["storage", human_bytes(machine.storage)],
    ]


# ------------------------------------------------------------------ one table


def _table(table: Table, value: str, grid: Grid, corner: str) -> str:
    rows = [
        [name, *(_shown(cell, value) for cell in cells)]
        for name, cells in zip(table.rows, table.cells, strict=True)
    ]
    return grid(rows, headers=[corner, *table.columns])


def _shown(cell: Cell | None, value: str) -> str:
    if cell is None:
        return NO_CASE
    if not cell.measured:
        return NOT_RUN
    failed = ", ".join(dict.fromkeys(status.value for status in cell.failed))
    mark = SYNTHETIC if cell.synthetic else ""
    if value == "status":
        return _statuses(cell, failed) + mark
    if cell.completed == 0:
        return failed + mark
    number = "none given" if cell.value is None else _number(cell.value, value)
    about = PREDICTED if cell.predicted else ""
    return f"{about}{number}{mark}" + (f" ({len(cell.failed)} x {failed})" if failed else "")


def _statuses(cell: Cell, failed: str) -> str:
    held = "pressure" if cell.pressure else "ok"
    said = [held] if cell.completed else []
    return ", ".join([*said, *([failed] if failed else [])])


def _number(figure: float, value: str) -> str:
    return human_bytes(int(figure)) if value.endswith("_bytes") else f"{figure:.1f}"


# ------------------------------------------------------------------ repeats


_REPEATS = ["case", "repeats", "median", "mean", "95% interval", "min", "max", "variation"]


def _repeats(groups: Sequence[Group], grid: Grid, heading: str) -> list[str]:
    """Statistics of the cases with more than one repeat; nothing where there is none."""
    rows: list[list[str]] = []
    for group in groups:
        predicted = {r.case_id for r in group.records if "total_execution_s" in r.timing.predicted}
        synthetic = {r.case_id for r in group.records if r.dataset.synthetic}
        for case_id, found in summaries(group.records, "total_execution_s", 2).items():
            about = PREDICTED if case_id in predicted else ""
            mark = SYNTHETIC if case_id in synthetic else ""
            rows.append(_repeat(group.name, case_id, found, (about, mark)))
    if not rows:
        return []
    return [
        "",
        heading.format("Repeats: total execution time in seconds"),
        grid(rows, headers=[*_REPEATS, "outliers", "first repeat"]),
        "",
        f"interval: {METHOD}; outliers by modified Z-score on the median absolute deviation",
    ]


def _repeat(group: str, case_id: str, found: Summary, marks: tuple[str, str]) -> list[str]:
    about, mark = marks

    def shown(value: float) -> str:
        return f"{about}{value:.2f}{mark}"

    low, high = found.interval or (found.mean, found.mean)
    return [
        f"{group} {case_id}".strip(),
        str(len(found.values)),
        shown(found.median),
        shown(found.mean),
        f"{low:.2f} to {high:.2f}",
        shown(found.low),
        shown(found.high),
        "" if found.variation is None else f"{found.variation:.1%}",
        ", ".join(f"{found.values[n]:.2f}" for n in found.outliers) or "none",
        "as the others" if found.slow_first is None else f"slow: {found.slow_first:.2f}",
    ]


# ------------------------------------------------------------------ details and notes


_DETAILS = ["case", "status", "execution s", "inference s", "images/s", "memory"]
_PLACE = ["device", "in"]


def _details(records: list[Record], grid: Grid) -> str:
    """One row a record; where all ran in the same place, that is said once below."""
    if len(records) > MOST_DETAILS:
        return f"{len(records)} records: --format csv has a line for each"
    places = {_place(record) for record in records if record.device.kind is not None}
    if len(places) != 1:
        rows = [[*_detail(record), *_place(record)] for record in records]
        return grid(rows, headers=_DETAILS + _PLACE)
    device, inside = places.pop()
    table = grid([_detail(record) for record in records], headers=_DETAILS)
    return f"{table}\n\nmeasured on {device}, in {inside}"


def _place(record: Record) -> tuple[str, str]:
    inside = record.image.reference or f"the {record.runtime} environment, not a pinned image"
    return record.device.name or record.device.kind or "an unknown device", inside


def _detail(record: Record) -> list[str]:
    timing, memory = record.timing, record.memory
    peak = memory.peak_device_bytes or memory.peak_host_bytes
    return [
        record.case_id + (f" #{record.repeat}" if record.repeat > 1 else ""),
        record.status.value,
        _seconds(record, "total_execution_s"),
        _seconds(record, "total_inference_s"),
        "" if timing.images_per_s is None else f"{timing.images_per_s:.1f}",
        "" if peak is None else human_bytes(peak),
    ]


def _seconds(record: Record, name: str) -> str:
    value = getattr(record.timing, name)
    if value is None:
        return ""
    about = PREDICTED if name in record.timing.predicted else ""
    return f"{about}{value:.1f}{SYNTHETIC if record.dataset.synthetic else ''}"


def _reasons(records: Sequence[Record]) -> list[str]:
    told = [f"{r.case_id}: {r.status.value}: {r.reason}" for r in records if r.reason]
    twins = [f"{r.case_id} is the same measurement as {r.same_as}" for r in records if r.same_as]
    shown = list(dict.fromkeys([*told, *twins]))
    more = len(shown) - MOST_DETAILS
    return shown[:MOST_DETAILS] + ([f"and {more} more"] if more > 0 else [])


def _notes(runs: Sequence[Run], groups: Sequence[Group]) -> list[str]:
    records = [record for group in groups for record in group.records]
    notes = []
    synthetic = [record for record in records if record.dataset.synthetic]
    if synthetic:
        stood_in = any(record.case.dataset != record.dataset.name for record in synthetic)
        more = ", which stood in for the dataset that is named" if stood_in else ""
        notes.append(f"{SYNTHETIC} measured on synthetic images{more}")
    if any(record.timing.predicted for record in records):
        single = _all_single(groups)
        notes.append(f"{PREDICTED} predicted" + (f"; {WITHIN_RUN}" if single else ""))
    elif records and _all_single(groups):
        notes.append(f"one repeat each: {WITHIN_RUN}")
    for warning in find_warnings(groups):
        names = ", ".join(warning.where[:MOST_NAMED])
        more_of_them = len(warning.where) - MOST_NAMED
        others = f" and {more_of_them} more" if more_of_them > 0 else ""
        notes.append(f"{warning.kind.value}: {names}{others}: {warning.message}; {warning.remedy}")
    notes += [f"Everything is kept in {run.path}" for run in runs]
    return notes


def _all_single(groups: Sequence[Group]) -> bool:
    return all(record.repeat == 1 for group in groups for record in group.records)
