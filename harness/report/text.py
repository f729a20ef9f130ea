"""The tables that people read: this machine, the study's table, the details."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from tabulate import tabulate

from harness.analysis.summary import Cell, Table, study_table
from harness.host.fingerprint import Fingerprint
from harness.model import Case, Record
from harness.report.baselines import PREDICTED, SYNTHETIC, published
from harness.results.reading import Run
from harness.units import human_bytes

NO_CASE, NOT_RUN = "", "not run"

Grid = Callable[..., str]
"""tabulate with its style settled."""


def plain(run: Run) -> str:
    """For a terminal."""
    return _render(run, "simple", "{}")


def markdown(run: Run) -> str:
    """For a document."""
    return _render(run, "github", "## {}\n")


def _render(run: Run, style: str, heading: str) -> str:
    grid = partial(tabulate, tablefmt=style, disable_numparse=True)
    records = list(run.standing().values())
    execution = study_table(run.info.cases, records, "total_execution_s")
    inference = study_table(run.info.cases, records, "total_inference_s")
    parts = [
        heading.format(f"This machine: {run.info.machine}"),
        grid(_hardware(run.info.fingerprint), headers=["part", "what it is"]),
        "",
        heading.format(f"Total execution time in seconds{_over(run.info.cases)}"),
        _study(execution, grid),
        "",
        heading.format("Total inference time in seconds (model loading + prediction)"),
        _study(inference, grid),
        *published(records, grid, heading),
        "",
        heading.format("Details"),
        _details(records, grid),
        *_notes(run, records),
    ]
    return "\n".join(parts)


def _over(cases: Iterable[Case]) -> str:
    protocols = sorted({case.protocol for case in cases})
    return f" (training + validation, protocol {', '.join(protocols)})"


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


def _study(table: Table, grid: Grid) -> str:
    rows = [
        [name, *(_shown(cell) for cell in cells)]
        for name, cells in zip(table.rows, table.cells, strict=True)
    ]
    return grid(rows, headers=["dataset", *table.columns])


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return NO_CASE
    if not cell.measured:
        return NOT_RUN
    failed = ", ".join(dict.fromkeys(status.value for status in cell.failed))
    mark = SYNTHETIC if cell.synthetic else ""
    if cell.value is None:
        return failed + mark
    about = PREDICTED if cell.predicted else ""
    return f"{about}{cell.value:.1f}{mark}" + (
        f" ({len(cell.failed)} x {failed})" if failed else ""
    )


_DETAILS = ["case", "status", "execution s", "inference s", "images/s", "memory"]
_PLACE = ["device", "in"]


def _details(records: list[Record], grid: Grid) -> str:
    """One row a record; where all ran in the same place, that is said once below."""
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


def _notes(run: Run, records: list[Record]) -> list[str]:
    notes = [
        f"{record.case_id}: {record.status.value}: {record.reason}"
        for record in records
        if record.reason
    ]
    synthetic = [record for record in records if record.dataset.synthetic]
    if synthetic:
        stood_in = any(record.case.dataset != record.dataset.name for record in synthetic)
        more = ", which stood in for the dataset that is named" if stood_in else ""
        notes.append(f"{SYNTHETIC} measured on synthetic images{more}")
    for record in records:
        if record.same_as is not None:
            notes.append(f"{record.case_id} is the same measurement as {record.same_as}")
    notes.append(f"Everything is kept in {run.path}")
    return ["", *notes]
