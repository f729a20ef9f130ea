"""The GPUs of this machine, NVIDIA's before AMD's, and the one that a request names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from harness.errors import MachineError
from harness.host.amd import find_amd, unusable
from harness.host.salted import salted
from harness.model import Device


@dataclass(frozen=True)
class Gpu:
    """`memory` in bytes; `index` is NVML's, which is the PCI bus order, and AMD's count on."""

    index: int
    uuid: str
    name: str
    memory: int | None
    vendor: str = "nvidia"


@dataclass(frozen=True)
class Gpus:
    """What was found, and what was wrong with the others, or with NVML as a whole.

    `driver` is NVIDIA's.
    """

    found: tuple[Gpu, ...]
    driver: str | None = None
    problem: str | None = None


def find_gpus() -> Gpus:
    """Ask NVML, then the kernel for AMD's. Never raises: what cannot be asked has no GPU."""
    nvidia, amd = _find_nvidia(), find_amd()
    if not amd:
        told = [problem for problem in (nvidia.problem, unusable()) if problem]
        return replace(nvidia, problem="; ".join(told) or None)
    first = max((gpu.index for gpu in nvidia.found), default=-1) + 1
    more = [
        Gpu(index, card.uuid, card.name, card.memory, "amd")
        for index, card in enumerate(amd, start=first)
    ]
    # Where only AMD's are, that NVML is not here is no problem.
    problem = nvidia.problem if nvidia.driver else None
    return Gpus((*nvidia.found, *more), nvidia.driver, problem)


def _find_nvidia() -> Gpus:
    import pynvml

    try:
        with nvml():
            driver = str(pynvml.nvmlSystemGetDriverVersion())
            found, problems = [], []
            for index in range(pynvml.nvmlDeviceGetCount()):
                try:
                    found.append(_gpu(index))
                except pynvml.NVMLError as error:
                    problems.append(f"GPU {index}: {error}")
            return Gpus(tuple(found), driver, "; ".join(problems) or None)
    except pynvml.NVMLError as error:
        return Gpus((), problem=str(error))


@contextmanager
def nvml() -> Iterator[None]:
    """NVML, open while this lasts. Raises pynvml.NVMLError where it is not here."""
    import pynvml

    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def _gpu(index: int) -> Gpu:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    try:
        memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError:
        memory = None
    uuid = str(pynvml.nvmlDeviceGetUUID(handle))
    return Gpu(index, uuid, str(pynvml.nvmlDeviceGetName(handle)), memory)


CPU = Device(kind="cpu")


def choose(request: str, gpus: Gpus) -> Device:
    """The device that ``auto``, ``cpu``, an index, a UUID or its salted name stands for.

    Raises MachineError where it is not there.
    """
    if request == "cpu" or (request == "auto" and not gpus.found):
        return CPU
    if request == "auto":
        return device_of(gpus.found[0])
    for gpu in gpus.found:
        if request.lower() in (str(gpu.index), gpu.uuid.lower(), salted(gpu.uuid)):
            return device_of(gpu)
    there = ", ".join(f"{gpu.index} ({gpu.name}, {gpu.uuid})" for gpu in gpus.found)
    raise MachineError(
        f"GPU {request} is not there; this machine has {there or 'none'}"
        + (f" ({gpus.problem})" if gpus.problem else ""),
        "choose one that is there, or measure the processor with --gpu cpu",
    )


def device_of(gpu: Gpu) -> Device:
    """A GPU as the device of a case."""
    return Device(kind="gpu", name=gpu.name, uuid=gpu.uuid, vendor=gpu.vendor)
