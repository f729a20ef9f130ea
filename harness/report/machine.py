"""A machine's fingerprint in words."""

from __future__ import annotations

from collections.abc import Iterator

from harness.host.cards import GpuHardware
from harness.host.fingerprint import Fingerprint
from harness.units import human_bytes

Row = tuple[str, str]


def rows(machine: Fingerprint) -> list[Row]:
    """All that is known of it, a row a part."""
    return [(part, what) for part, what in _parts(machine) if what]


def _parts(machine: Fingerprint) -> Iterator[Row]:
    yield "CPU", _cpu(machine)
    yield "single core", _core(machine)
    for number, gpu in enumerate(machine.gpus):
        yield f"GPU {number}", _gpu(gpu)
    if not machine.gpus:
        yield "GPU", "none that is seen"
    yield "driver", _joined(machine.driver, machine.cuda and f"CUDA up to {machine.cuda}")
    limit = machine.ram_limit and f"{human_bytes(machine.ram_limit)} allowed"
    yield "RAM", _joined(human_bytes(machine.ram), limit)
    kind = _joined(machine.storage_kind, machine.filesystem)
    yield "storage", _joined(human_bytes(machine.storage), kind)
    if machine.read_test is not None:
        test = machine.read_test
        yield "reading a file", f"{test.mbs:.0f} MB/s ({test.how}, {human_bytes(test.bytes)})"
    yield "system", machine.system
    yield "engine", machine.engine or ""
    yield "container", machine.container or ""
    yield "virtual machine", machine.virtual_machine or ""


def _cpu(machine: Fingerprint) -> str:
    threads = machine.cpu_count
    fewer = machine.cpu_allowed is not None and machine.cpu_allowed != threads
    return _joined(
        machine.cpu,
        machine.cores and f"{machine.cores} cores",
        f"{threads} threads",
        f"{machine.cpu_allowed} of them allowed" if fewer else None,
        f"a quota of {machine.cpu_quota:g}" if machine.cpu_quota is not None else None,
    )


def _core(machine: Fingerprint) -> str:
    speed = machine.single_core
    if speed is None:
        return ""
    loop = f"{speed.python_mops:.1f} M rounds/s in {speed.python}"
    return f"{loop}, SHA-256 {speed.sha256_mbs:.0f} MB/s (version {speed.version})"


def _gpu(gpu: GpuHardware) -> str:
    mig = {True: "MIG on", False: "MIG off", None: None}[gpu.mig]
    slices = f" ({', '.join(gpu.mig_slices)})" if gpu.mig_slices else ""
    link = f"PCIe {gpu.pcie_generation} x{gpu.pcie_width}"
    return _joined(
        gpu.name,
        human_bytes(gpu.memory),
        _power(gpu),
        link if gpu.pcie_generation and gpu.pcie_width else None,
        f"VBIOS {gpu.vbios}" if gpu.vbios else None,
        f"{mig}{slices}" if mig else None,
        gpu.id,
    )


def _power(gpu: GpuHardware) -> str | None:
    if gpu.power_limit_w is None:
        return None
    if gpu.power_range_w is None:
        return f"{gpu.power_limit_w:g} W"
    low, high = gpu.power_range_w
    return f"{gpu.power_limit_w:g} W of {low:g} to {high:g}"


def _joined(*parts: str | int | None) -> str:
    return ", ".join(str(part) for part in parts if part)
