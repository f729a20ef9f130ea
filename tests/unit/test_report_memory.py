"""Memory and other resources in reports: what was used, who counted, and of how much."""

from __future__ import annotations

import csv
import io
import json

import pytest

from harness.host.cards import GpuHardware
from harness.host.fingerprint import Fingerprint
from harness.model import Device, Memory, Status
from harness.report import PIVOTS, render
from harness.report.memory import cells
from tests.unit.comparing import case, record, repeats, run_of
from tests.unit.runs import MACHINE

GIB = 1 << 30
CARDS = (GpuHardware(name="Some GPU", memory=6 * GIB), GpuHardware(name="Other", memory=8 * GIB))


def told(
    memory: Memory, machine: Fingerprint | None = MACHINE, **fields: object
) -> tuple[str, str]:
    one = record(case(**fields), 1, 1.0, memory=memory)
    return cells(one, {} if machine is None else {(one.run_id, one.machine): machine})


@pytest.mark.parametrize(
    ("memory", "host"),
    [
        (Memory(), ""),
        (Memory(peak_host_bytes=GIB), "process 1.00 GiB of 16.00 GiB"),
        (
            Memory(peak_host_bytes=GIB, peak_cgroup_bytes=2 * GIB),
            "container 2.00 GiB of 16.00 GiB",
        ),
        (
            Memory(peak_host_bytes=GIB, peak_processes_bytes=3 * GIB),
            "processes 3.00 GiB of 16.00 GiB",
        ),
    ],
)
def test_the_hosts_peak_says_of_what_it_is(memory: Memory, host: str) -> None:
    assert told(memory) == ("", host)


def test_a_limit_stands_in_the_place_of_what_the_machine_has() -> None:
    memory = Memory(peak_cgroup_bytes=GIB)
    limited = told(memory, overrides={"memory_limit": 2 * GIB})
    assert limited == ("", "container 1.00 GiB of 2.00 GiB allowed")
    assert told(memory, None) == ("", "container 1.00 GiB")


@pytest.mark.parametrize(
    ("memory", "device"),
    [
        (Memory(peak_device_bytes=3 * GIB), "3.00 GiB of 6.00 GiB"),
        (
            Memory(
                peak_device_bytes=3 * GIB,
                peak_device_used_bytes=5 * GIB,
                peak_device_processes_bytes=4 * GIB,
            ),
            "3.00 GiB, NVML 4.00 GiB of 6.00 GiB",
        ),
        (Memory(peak_device_used_bytes=5 * GIB), "NVML 5.00 GiB by all of 6.00 GiB"),
    ],
)
def test_the_devices_peak_by_framework_and_nvml(memory: Memory, device: str) -> None:
    assert told(memory, MACHINE.model_copy(update={"gpus": CARDS})) == (device, "")


def test_a_card_that_nobody_knows_by_name_has_no_size() -> None:
    one = record(case(), 1, 1.0, memory=Memory(peak_device_bytes=GIB)).model_copy(
        update={"device": Device(kind="gpu", name="unknown")}
    )
    several, alone = (MACHINE.model_copy(update={"gpus": cards}) for cards in (CARDS, CARDS[:1]))
    assert cells(one, {(one.run_id, one.machine): several})[0] == "1.00 GiB"
    assert cells(one, {(one.run_id, one.machine): alone})[0] == "1.00 GiB of 6.00 GiB"


def test_a_resource_other_than_memory_is_in_every_report() -> None:
    full, held = case(), case(model="model-b")
    failed = repeats(full, Status.FAILED, resource="disk", reason="the disk is full")
    found = run_of("x", [*failed, *repeats(held, 1.0)])
    assert f"{full.id}  failed (disk)" in render([found], "table")
    rows = list(csv.DictReader(io.StringIO(render([found], "csv"))))
    assert [row["resource"] for row in rows] == ["disk", ""]
    kept = json.loads(render([found], "json"))["runs"][0]["records"]
    assert [one["resource"] for one in kept] == ["disk", None]
    table = PIVOTS["csv"]([found], "resource", ["dataset"], ["model"])
    assert table.splitlines() == ["dataset,model-a,model-b", "mnist,disk,"]


def test_a_table_of_ones_own_shows_any_peak() -> None:
    found = run_of("x", repeats(case(), 1.0, memory=Memory(peak_cgroup_bytes=GIB)))
    table = PIVOTS["csv"]([found], "peak_cgroup_bytes", ["dataset"], ["model"])
    assert table.splitlines() == ["dataset,model-a", "mnist,1.00 GiB"]
    assert "of the whole container" in PIVOTS["table"](
        [found], "peak_cgroup_bytes", ["dataset"], ["model"]
    )
