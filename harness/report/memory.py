"""What a case used of the machine's memory, beside what the machine has."""

from __future__ import annotations

from collections.abc import Mapping

from harness.host.fingerprint import Fingerprint
from harness.model import Memory, Record
from harness.units import human_bytes

HEADERS = ("device peak", "host peak")

Machines = Mapping[tuple[str, str], Fingerprint]
"""By the run's id and the machine's label, since a run may have measured on several."""


def cells(record: Record, machines: Machines) -> tuple[str, str]:
    """At most used on the device and on the host, each with who counted, and of how much."""
    machine = machines.get((record.run_id, record.machine))
    return (
        _of(_device(record.memory), _card(record, machine)),
        _of(_host(record.memory), _allowed(record) or _ram(machine)),
    )


def _of(used: str, there: str) -> str:
    return f"{used} of {there}" if used and there else used


def _device(memory: Memory) -> str:
    told = []
    if memory.peak_device_bytes is not None:
        told.append(human_bytes(memory.peak_device_bytes))
    if memory.peak_device_processes_bytes is not None:
        told.append(f"NVML {human_bytes(memory.peak_device_processes_bytes)}")
    elif memory.peak_device_used_bytes is not None:
        told.append(f"NVML {human_bytes(memory.peak_device_used_bytes)} by all")
    return ", ".join(told)


def _host(memory: Memory) -> str:
    """The whole case's where it was seen, else its larger phase's own."""
    for bytes_, counted in (
        (memory.peak_cgroup_bytes, "container"),
        (memory.peak_processes_bytes, "processes"),
        (memory.peak_host_bytes, "process"),
    ):
        if bytes_ is not None:
            return f"{counted} {human_bytes(bytes_)}"
    return ""


def _card(record: Record, machine: Fingerprint | None) -> str:
    """The memory of the GPU of that name, or of the only kind that is there."""
    if machine is None or record.device.kind != "gpu":
        return ""
    named = {gpu.memory for gpu in machine.gpus if gpu.name == record.device.name}
    sizes = (named or {gpu.memory for gpu in machine.gpus}) - {None}
    return human_bytes(sizes.pop()) if len(sizes) == 1 else ""


def _ram(machine: Fingerprint | None) -> str:
    return "" if machine is None else human_bytes(machine.ram)


def _allowed(record: Record) -> str:
    limit = record.case.overrides.get("memory_limit")
    return "" if limit is None else f"{human_bytes(limit)} allowed"
