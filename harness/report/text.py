"""The tables that people read: the machines, the study's table, repeats, details, warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from tabulate import tabulate

from harness.analysis.pivot import Group, Table, lay_out
from harness.analysis.statistics import WITHIN_RUN
from harness.analysis.warnings import Placed, find_warnings, placed
from harness.host.fingerprint import Fingerprint
from harness.model import Case, Record
from harness.report import cost, fits, memory, telemetry, verdict
from harness.report.baselines import PREDICTED, SYNTHETIC, published
from harness.report.cells import shown
from harness.report.groups import groups_of, measured
from harness.report.repeats import repeats
from harness.results.reading import Run
from harness.units import human_bytes, named

MOST_DETAILS = 200
"""Rows of details that somebody reads; more of them are for programs."""
MOST_NAMED = 3
"""Cases that a warning names one by one."""

TITLES = {
    "total_execution_s": "Total execution time in seconds",
    "total_inference_s": "Total inference time in seconds (model loading + prediction)",
    "images_per_s": "Images per second in training",
    "peak_device_bytes": "Peak memory of the device",
    "peak_device_used_bytes": "Peak memory of the device, everything on it (NVML)",
    "peak_device_processes_bytes": "Peak memory of the device, the case's processes (NVML)",
    "peak_host_bytes": "Peak memory of the host, of the larger phase's process",
    "peak_cgroup_bytes": "Peak memory of the host, of the whole container",
    "peak_processes_bytes": "Peak memory of the host, of all processes of the case",
    "resource": "What it lacked other than memory",
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
    everything = groups_of(runs)
    groups = groups_of(measured(runs))
    parts = [
        *_machines(runs, grid, heading),
        *(_study(runs, groups, grid, heading) if any(group.cases for group in groups) else []),
        *fits.section(everything, heading),
        *_notes(runs, groups),
        *cost.section(runs, grid, heading),
        *verdict.section(everything, heading),
    ]
    return "\n".join(parts)


def _study(runs: Sequence[Run], groups: Sequence[Group], grid: Grid, heading: str) -> list[str]:
    everything = placed(groups)
    records = [record for _, record in everything]
    cases = [case for group in groups for case in group.cases]
    layout = lay_out(groups, ["dataset"], _columns(cases))
    return [
        heading.format(TITLES["total_execution_s"] + _over(cases)),
        _table(layout.table("total_execution_s"), "total_execution_s", grid, "dataset"),
        "",
        heading.format(TITLES["total_inference_s"]),
        _table(layout.table("total_inference_s"), "total_inference_s", grid, "dataset"),
        *(published(records, grid, heading) if len(groups) == 1 else []),
        *repeats(groups, grid, heading),
        "",
        heading.format("Details"),
        _details(everything, _fingerprints(runs), grid),
        "",
        *_reasons(everything),
        *telemetry.section(everything, grid, heading),
    ]


def _fingerprints(runs: Sequence[Run]) -> memory.Machines:
    return {
        (run.info.run_id, record.machine): run.info.fingerprint
        for run in runs
        for record in run.records
    }


def _columns(cases: Sequence[Case]) -> list[str]:
    """The study's columns are its models; each framework has its own where there are several."""
    several = len({case.framework for case in cases}) > 1
    return ["model", "framework"] if several else ["model"]


def _pivot(
    runs: Sequence[Run],
    wanted: tuple[str, Sequence[str], Sequence[str]],
    style: str,
    heading: str,
) -> str:
    value, rows, cols = wanted
    grid = partial(tabulate, tablefmt=style, disable_numparse=True)
    groups = groups_of(measured(runs))
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
    for run in {(run.info.machine, run.info.machine_hash): run for run in runs}.values():
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
        ["CPU", f"{machine.cpu} ({machine.cpu_count} threads{_quota(machine)})"],
        *(gpus or [["GPU", "none that NVML sees"]]),
        ["RAM", human_bytes(machine.ram)],
        ["storage", human_bytes(machine.storage)],
    ]


def _quota(machine: Fingerprint) -> str:
    return "" if machine.cpu_quota is None else f", a quota of {machine.cpu_quota:g}"


# ------------------------------------------------------------------ one table


def _table(table: Table, value: str, grid: Grid, corner: str) -> str:
    rows = [
        [name, *(shown(cell, value) for cell in cells)]
        for name, cells in zip(table.rows, table.cells, strict=True)
    ]
    return grid(rows, headers=[corner, *table.columns])


# ------------------------------------------------------------------ details and notes


_DETAILS = ["case", "status", "execution s", "inference s", "images/s", *memory.HEADERS]
_PLACE = ["device", "in"]


def _details(records: Sequence[Placed], machines: memory.Machines, grid: Grid) -> str:
    """One row a record; where all ran in the same place, that is said once below."""
    if len(records) > MOST_DETAILS:
        return f"{len(records)} records: --format csv has a line for each"
    places = {_place(record) for _, record in records if record.device.kind is not None}
    if len(places) != 1:
        rows = [[*_detail(at, record, machines), *_place(record)] for at, record in records]
        return grid(rows, headers=_DETAILS + _PLACE)
    device, inside = places.pop()
    table = grid([_detail(at, record, machines) for at, record in records], headers=_DETAILS)
    return f"{table}\n\nmeasured on {device}, in {inside}"


def _place(record: Record) -> tuple[str, str]:
    inside = record.image.reference or f"the {record.runtime} environment, not a pinned image"
    return record.device.name or record.device.kind or "an unknown device", inside


def _detail(at: str, record: Record, machines: memory.Machines) -> list[str]:
    timing = record.timing
    lacked = f" ({record.resource})" if record.resource else ""
    return [
        at + (f" #{record.repeat}" if record.repeat > 1 else ""),
        record.status.value + lacked,
        _seconds(record, "total_execution_s"),
        _seconds(record, "total_inference_s"),
        "" if timing.images_per_s is None else f"{timing.images_per_s:.1f}",
        *memory.cells(record, machines),
    ]


def _seconds(record: Record, name: str) -> str:
    value = getattr(record.timing, name)
    if value is None:
        return ""
    about = PREDICTED if name in record.timing.predicted else ""
    return f"{about}{value:.1f}{SYNTHETIC if record.dataset.synthetic else ''}"


def _reasons(records: Sequence[Placed]) -> list[str]:
    told = [f"{at}: {r.status.value}: {r.reason}" for at, r in records if r.reason]
    twins = [f"{at} is the same measurement as {r.same_as}" for at, r in records if r.same_as]
    lines = list(dict.fromkeys([*told, *twins]))
    more = len(lines) - MOST_DETAILS
    return lines[:MOST_DETAILS] + ([f"and {more} more"] if more > 0 else [])


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
    elif any(record.status.completed for record in records) and _all_single(groups):
        notes.append(f"one repeat each: {WITHIN_RUN}")
    for warning in find_warnings(groups):
        names = named(warning.where, MOST_NAMED)
        notes.append(f"{warning.kind.value}: {names}: {warning.message}; {warning.remedy}")
    lacking = [
        f"{run.info.run_id} ran without {what}"
        for run in runs
        for one in run.info.invocations
        for what in one.left_out
    ]
    kept = [f"Everything is kept in {run.path}" for run in runs]
    return [*notes, *dict.fromkeys(lacking), *dict.fromkeys(kept)]  # a run of several machines once


def _all_single(groups: Sequence[Group]) -> bool:
    """Whether no case has more than one repeat that completed."""
    done = Counter(at for at, record in placed(groups) if record.status.completed)
    return max(done.values(), default=0) < 2
