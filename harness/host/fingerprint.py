"""What this machine is: its hardware and what surrounds it, and the label its results go by.

Nothing here is personal: no name of host or user, no address, no serial; a card's UUID and the
machine's id only as salted hashes.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import psutil

from harness.host.cards import GpuHardware, cuda_version, hardware
from harness.host.cpu import allowed_threads, cpu_model
from harness.host.gpus import Gpus
from harness.host.quota import quota
from harness.host.read_test import ReadTest, read_test
from harness.host.salted import salted_hash
from harness.host.speed import Speed, single_core
from harness.host.storage import storage
from harness.host.surroundings import container, virtual_machine
from harness.host.text import read
from harness.model import Frozen


class Fingerprint(Frozen):
    """The study's table and what else decides how fast a machine is; sizes in bytes.

    `cpu_count` are threads, `cpu_allowed` those that the scheduler may give this process and
    `cpu_quota` the processors' worth of time its control groups leave it, None for no limit;
    `ram_limit` alike. `cuda` is the newest that `driver` can run. `engine` is what ran the cases'
    containers. Older runs lack all from `cores` on.
    """

    cpu: str
    cpu_count: int | None
    gpus: tuple[GpuHardware, ...]
    driver: str | None
    ram: int
    storage: int
    system: str
    cores: int | None = None
    cpu_allowed: int | None = None
    cpu_quota: float | None = None
    ram_limit: int | None = None
    storage_kind: str | None = None
    filesystem: str | None = None
    cuda: str | None = None
    engine: str | None = None
    container: str | None = None
    virtual_machine: str | None = None
    read_test: ReadTest | None = None
    single_core: Speed | None = None


def take(gpus: Gpus, storage_of: Path) -> Fingerprint:
    """This machine as it describes itself, with the storage that holds the folder `storage_of`."""
    limits = quota()
    kept = storage(storage_of)
    return Fingerprint(
        cpu=cpu_model(),
        cpu_count=psutil.cpu_count(),
        gpus=hardware(gpus),
        driver=gpus.driver,
        ram=psutil.virtual_memory().total,
        storage=shutil.disk_usage(storage_of).total,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=psutil.cpu_count(logical=False),
        cpu_allowed=allowed_threads(),
        cpu_quota=limits.cpus,
        ram_limit=limits.memory,
        storage_kind=kept.kind,
        filesystem=kept.filesystem,
        cuda=cuda_version() if gpus.driver else None,
        container=container(),
        virtual_machine=virtual_machine(),
    )


def tried(machine: Fingerprint, storage_of: Path, engine: str | None) -> Fingerprint:
    """The same with what has to be tried, in about a second: a core's speed, reading a file."""
    return machine.model_copy(
        update={
            "engine": engine,
            "read_test": None if machine.storage_kind == "memory" else read_test(storage_of),
            "single_core": single_core(),
        }
    )


def label(machine: Fingerprint, gpus: Gpus) -> str:
    """GPU (or processor) model and a short hash: the same again on the same machine."""
    model = machine.gpus[0].name if machine.gpus else machine.cpu
    words = "-".join(model.replace("(R)", "").replace("(TM)", "").replace("@", " ").split())
    return f"{words}-{machine_hash(machine, gpus)[:6]}"


def machine_hash(machine: Fingerprint, gpus: Gpus) -> str:
    """Salted hash of what stays the same on a machine: its id, processor, memory and GPUs.

    Another user of the machine, who has another salt, gets another one.
    """
    known = [machine.cpu, str(machine.cpu_count), str(machine.ram), _machine_id()]
    known += [gpu.uuid for gpu in gpus.found]
    return salted_hash("|".join(known))


def _machine_id() -> str:
    return read(Path("/etc/machine-id")) or platform.node()
