"""What this machine is: the study's hardware table, and the label its results go by."""

from __future__ import annotations

import hashlib
import platform
import shutil
from pathlib import Path

import psutil

from harness.host.gpus import Gpus
from harness.model import Frozen


class GpuHardware(Frozen):
    """`memory` in bytes."""

    name: str
    memory: int | None


class Fingerprint(Frozen):
    """The study's table: processor, GPUs and their memory, RAM and storage in bytes."""

    cpu: str
    cpu_count: int | None
    gpus: tuple[GpuHardware, ...]
    driver: str | None
    ram: int
    storage: int
    system: str


def take(gpus: Gpus, storage_of: Path) -> Fingerprint:
    """This machine, with the storage that holds the folder `storage_of`."""
    return Fingerprint(
        cpu=cpu_model(),
        cpu_count=psutil.cpu_count(),
        gpus=tuple(GpuHardware(name=gpu.name, memory=gpu.memory) for gpu in gpus.found),
        driver=gpus.driver,
        ram=psutil.virtual_memory().total,
        storage=shutil.disk_usage(storage_of).total,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
    )


def cpu_model() -> str:
    """The processor's name as the kernel gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Hardware") and value.strip():
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def label(machine: Fingerprint, gpus: Gpus) -> str:
    """GPU (or processor) model and a short hash: the same again on the same machine."""
    model = machine.gpus[0].name if machine.gpus else machine.cpu
    words = "-".join(model.replace("(R)", "").replace("(TM)", "").replace("@", " ").split())
    return f"{words}-{machine_hash(machine, gpus)[:6]}"


def machine_hash(machine: Fingerprint, gpus: Gpus) -> str:
    """SHA-256 over what stays the same on a machine: its id, processor, memory and GPUs."""
    known = [machine.cpu, str(machine.cpu_count), str(machine.ram), _machine_id()]
    known += [gpu.uuid for gpu in gpus.found]
    return hashlib.sha256("|".join(known).encode()).hexdigest()


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return platform.node()
