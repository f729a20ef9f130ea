"""What is seen of a case's memory from outside: how often, and what is kept of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from harness.host.gpus import CPU
from harness.model import Device, Memory
from harness.probes import processes
from harness.probes.case import CaseProcesses
from harness.runner.meter import LOOK_EVERY_S, Meter

GPU = Device(kind="gpu", name="Some GPU", uuid="GPU-1", vendor="nvidia")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_most_of_what_was_seen_is_kept() -> None:
    seen = iter([100, 300, None, 200])
    meter = Meter()
    meter.add({"peak_processes_bytes": lambda: next(seen)})
    for _ in range(4):
        meter.read()
    assert meter.memory() == Memory(peak_processes_bytes=300, sampled=("peak_processes_bytes",))


def test_a_peak_of_the_kernels_own_is_no_sample() -> None:
    meter = Meter()
    meter.add({"peak_cgroup_bytes": lambda: 7}, sampled=False)
    meter.read()
    assert meter.memory() == Memory(peak_cgroup_bytes=7)


def test_what_tells_nothing_is_not_known() -> None:
    meter = Meter()
    meter.add({"peak_processes_bytes": lambda: None})
    meter.read()
    assert meter.memory() == Memory()


def test_it_looks_no_more_often_than_it_should() -> None:
    clock, read = Clock(), []
    meter = Meter(clock)
    meter.add({"peak_processes_bytes": lambda: read.append(clock.now) or 1})  # type: ignore[func-returns-value]
    for step in range(41):
        clock.now = step * 0.1
        meter.look()
    assert len(read) == pytest.approx(4.0 / LOOK_EVERY_S + 1, abs=1)


def test_a_case_without_a_process_has_no_memory_to_see() -> None:
    meter = Meter()
    meter.begin(None, CPU)
    meter.read()
    assert meter.memory() == Memory()


def test_the_processes_of_a_case_are_summed() -> None:
    child = "held = bytearray(50 << 20); print(flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    line = [sys.executable, "-c", parent]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        meter = Meter()
        meter.begin(CaseProcesses(process.pid), CPU)
        meter.read()
        assert len(processes.tree(process.pid)) == 2
        process.communicate(b"\n")
    held = meter.memory().peak_processes_bytes
    assert held is not None
    assert 50 << 20 < held < 150 << 20
    assert processes.resident(process.pid) is None


# ------------------------------------------------------------------ NVML


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A card with 3 GiB in use, 2 of them by this process; a test may change what it says."""
    others = SimpleNamespace(pid=1, usedGpuMemory=1 << 30)
    mine = SimpleNamespace(pid=os.getpid(), usedGpuMemory=2 << 30)
    said: dict[str, Any] = {"used": 3 << 30, "running": [others, mine], "open": 0}

    def info(handle: object, version: int | None = None) -> object:
        if version is not None and said.get("old"):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return SimpleNamespace(used=said["used"] + (0 if version else 1))

    def running(handle: object) -> list[Any]:
        if isinstance(said["running"], Exception):
            raise said["running"]
        return list(said["running"])

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: said.update(open=said["open"] + 1))
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: said.update(open=said["open"] - 1))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: uuid)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", info)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", running)
    yield said
    assert said["open"] == 0


def seen_of(device: Device) -> Memory:
    meter = Meter()
    meter.begin(CaseProcesses(os.getpid()), device)
    meter.read()
    meter.close()
    return meter.memory()


def test_the_whole_card_and_the_cases_own_part_are_told_apart(card: dict[str, Any]) -> None:
    seen = seen_of(GPU)
    assert seen.peak_device_used_bytes == 3 << 30
    assert seen.peak_device_processes_bytes == 2 << 30
    assert set(seen.sampled) == {
        *("peak_device_used_bytes", "peak_device_processes_bytes", "peak_processes_bytes")
    }


def test_an_older_driver_tells_in_the_older_way(card: dict[str, Any]) -> None:
    card["old"] = True
    assert seen_of(GPU).peak_device_used_bytes == (3 << 30) + 1


@pytest.mark.parametrize(
    "running",
    [
        [],
        [SimpleNamespace(pid=1, usedGpuMemory=1 << 30)],
        [SimpleNamespace(pid=os.getpid(), usedGpuMemory=None)],
        pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED),
        RuntimeError("the binding is newer than the driver"),
    ],
)
def test_processes_that_nvml_does_not_tell_are_not_known(
    card: dict[str, Any], running: object
) -> None:
    card["running"] = running
    seen = seen_of(GPU)
    assert seen.peak_device_processes_bytes is None
    assert seen.peak_device_used_bytes == 3 << 30


@pytest.mark.parametrize("device", [CPU, Device(kind="gpu", uuid="GPU-2", vendor="amd")])
def test_nvml_is_asked_of_its_own_cards_alone(card: dict[str, Any], device: Device) -> None:
    seen = seen_of(device)
    assert (seen.peak_device_used_bytes, seen.peak_device_processes_bytes) == (None, None)


def test_where_nvml_is_missing_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert seen_of(GPU).peak_device_used_bytes is None
