"""What the sensors said while each case ran: disturbed or not, what held the card back, energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.analysis.bottleneck import achieved_flops, bottleneck, share_of_peak
from harness.analysis.disturbance import FEWEST
from harness.analysis.warnings import Placed
from harness.model import Disturbed, Record, Telemetry

MOST_ROWS = 200
"""Rows that somebody reads; more of them are for programs."""
MOST_TOLD = 20
"""Disturbed cases that are told one by one."""

Cell = Callable[[Record], str]
Grid = Callable[..., str]


def section(records: Sequence[Placed], grid: Grid, heading: str) -> list[str]:
    """One row a record; columns of which nothing is known are left out. Empty where nothing
    was sampled for long enough."""
    told = [(at, record) for at, record in records if _says_something(record.telemetry)]
    filled = [(name, [cell(record) for _, record in told]) for name, cell in COLUMNS]
    columns = [(name, cells) for name, cells in filled if any(cells)]
    if not columns:
        return []
    names = [at + (f" #{record.repeat}" if record.repeat > 1 else "") for at, record in told]
    rows = list(zip(names, *(cells for _, cells in columns), strict=True))
    if len(rows) > MOST_ROWS:
        table = f"{len(rows)} records: --format csv has a line for each"
    else:
        table = grid(rows, headers=["case", *(name for name, _ in columns)])
    return ["", heading.format("Telemetry"), table, "", *_why(names, told)]


def _says_something(telemetry: Telemetry | None) -> bool:
    return telemetry is not None and telemetry.samples >= FEWEST


def _why(names: Sequence[str], records: Sequence[Placed]) -> list[str]:
    """What disturbed each case; what could not be seen of any, once."""
    disturbed, unseen = [], []
    for name, (_, record) in zip(names, records, strict=True):
        if record.disturbed is Disturbed.YES:
            disturbed.append(f"{name}: disturbed: {'; '.join(record.disturbed_by)}")
        else:
            unseen += [f"not known whether disturbed: {why}" for why in record.disturbed_by]
    more = len(disturbed) - MOST_TOLD
    lines = disturbed[:MOST_TOLD] + ([f"and {more} more"] if more > 0 else [])
    lines += dict.fromkeys(unseen)
    return [*lines, ""] if lines else []


def _of(read: Callable[[Telemetry], object | None], form: str) -> Cell:
    def cell(record: Record) -> str:
        value = read(record.telemetry) if record.telemetry is not None else None
        return "" if value is None else form.format(value)

    return cell


def _limits(record: Record) -> str:
    if record.limited_by is None:
        return ""
    named = [f"{what} {share:.0%}" for what, share in record.limited_by.items() if share >= 0.005]
    return ", ".join(named) or "nothing"


def _link(telemetry: Telemetry) -> str | None:
    if telemetry.pcie_generation is None or telemetry.pcie_width is None:
        return None
    return f"{telemetry.pcie_generation} x{telemetry.pcie_width}"


def _energy(telemetry: Telemetry) -> float | None:
    """Joules for a thousand images."""
    if telemetry.energy_j is None or not telemetry.energy_images:
        return None
    return 1000 * telemetry.energy_j / telemetry.energy_images


def _input(record: Record) -> str:
    ratio = record.timing.input_ratio
    return "" if ratio is None else f"{ratio:.2f}"


def _flops(record: Record) -> str:
    achieved = achieved_flops(record)
    return "" if achieved is None else f"{achieved / 1e12:.3g}"


def _share(record: Record) -> str:
    share = share_of_peak(record)
    return "" if share is None else f"{share:.0%}"


COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("disturbed", lambda record: record.disturbed.value),
    ("bottleneck", lambda record: bottleneck(record) or ""),
    ("TFLOP/s", _flops),
    ("of peak", _share),
    ("limited by", _limits),
    ("input ratio", _input),
    ("GPU busy", _of(lambda t: t.busy, "{:.0%}")),
    ("W", _of(lambda t: t.power_w, "{:.0f}")),
    ("°C peak", _of(lambda t: t.temperature_c_peak, "{}")),
    ("SM MHz", _of(lambda t: t.sm_mhz, "{:.0f}")),
    ("PCIe", _of(_link, "{}")),
    ("J/1000 images", _of(_energy, "{:.1f}")),
    ("CPU", _of(lambda t: t.cpu, "{:.0%}")),
    ("others' CPU", _of(lambda t: t.other_cpu, "{:.0%}")),
    ("steal", _of(lambda t: t.steal, "{:.1%}")),
)
