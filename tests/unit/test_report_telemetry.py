"""What a report shows of the sensors: what is known, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tabulate import tabulate

from harness.campaign import run
from harness.model import Device, Disturbed, Record, Telemetry
from harness.report.telemetry import section
from tests.unit.runs import completing, prepared
from tests.unit.test_campaign import ignore

GRID = partial(tabulate, tablefmt="simple", disable_numparse=True)
ONE = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [64]}
defaults: {protocol: smoke}
"""
CARD = Telemetry(
    samples=500,
    seconds=100,
    utilisation=0.9,
    busy=0.97,
    memory_utilisation=0.3,
    power_w=160.4,
    temperature_c_peak=71,
    sm_mhz=1680,
    pcie_generation=3,
    pcie_width=16,
    energy_j=16_000,
    energy_by="counter",
    energy_images=64_000,
    cpu=0.25,
    other_cpu=0.0,
    steal=0.0,
)


def record(tmp_path: Path, **changes: object) -> Record:
    made, _ = prepared(ONE, lambda spec: completing(), tmp_path)
    (found,) = run(made, ignore).records
    return found.model_copy(update=changes)


def rows(record: Record) -> dict[str, str]:
    """The one row by its heads."""
    _, _, table, *_ = section(
        [("one", record)], partial(tabulate, tablefmt="tsv", disable_numparse=True), "{}"
    )
    heads, cells = (line.split("\t") for line in table.splitlines())
    return {head.strip(): cell.strip() for head, cell in zip(heads, cells, strict=True)}


def test_a_card_with_all_its_sensors(tmp_path: Path) -> None:
    gpu = record(
        tmp_path,
        device=Device(kind="gpu", name="NVIDIA GeForce RTX 2070", uuid="x", vendor="nvidia"),
        telemetry=CARD,
        disturbed=Disturbed.NO,
        disturbed_by=(),
        limited_by={"power": 0.62, "thermal": 0.004},
    )
    found = rows(gpu)
    assert found["disturbed"] == "no"
    assert found["limited by"] == "power 62%"
    assert found["GPU busy"] == "97%"
    assert (found["W"], found["°C peak"], found["PCIe"]) == ("160", "71", "3 x16")
    assert found["J/1000 images"] == "250.0"
    assert found["of peak"].endswith("%")
    assert "input ratio" not in found  # nobody measured it


def test_a_processor_has_no_columns_of_a_card_and_says_what_is_not_known(tmp_path: Path) -> None:
    cpu = record(
        tmp_path,
        telemetry=Telemetry(samples=50, seconds=10, cpu=0.98, steal=0.003),
        disturbed=Disturbed.UNKNOWN,
        disturbed_by=("the processors' other load cannot be told from the case's",),
    )
    found = rows(cpu)
    assert (
        {"disturbed", "CPU", "steal"}
        <= set(found)
        <= {
            *("case", "disturbed", "CPU", "steal", "TFLOP/s", "bottleneck"),
        }
    )
    text = "\n".join(section([("one", cpu)], GRID, "## {}"))
    assert text.lstrip().startswith("## Telemetry")
    assert "not known whether disturbed: the processors' other load cannot be told" in text


def test_each_disturbed_case_is_told_by_its_name_up_to_a_point(tmp_path: Path) -> None:
    spoilt = record(
        tmp_path,
        telemetry=CARD,
        disturbed=Disturbed.YES,
        disturbed_by=("other processes used 62% of the processors",),
    )
    text = "\n".join(section([("one", spoilt)], GRID, "{}"))
    assert "one: disturbed: other processes used 62% of the processors" in text
    many = section([(f"case {n}", spoilt) for n in range(300)], GRID, "{}")
    assert "300 records: --format csv has a line for each" in many
    assert "and 280 more" in many


def test_without_samples_there_is_no_section(tmp_path: Path) -> None:
    assert section([("one", record(tmp_path, telemetry=None))], GRID, "{}") == []


def test_a_card_held_down_by_nothing_says_so(tmp_path: Path) -> None:
    assert rows(record(tmp_path, telemetry=CARD, limited_by={}))["limited by"] == "nothing"
