"""The GPUs that NVML sees, in NVML's order, and the one that a request names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.errors import MachineError
from harness.model import Device


@dataclass(frozen=True)
class Gpu:
    """`memory` in bytes; `index` is NVML's, which is the PCI bus order."""

    index: int
    uuid: str
    name: str
    memory: int | None


@dataclass(frozen=True)
class Gpus:
    """What was found, and what was wrong with the others, or with NVML as a whole."""

    found: tuple[Gpu, ...]
    driver: str | None = None
    problem: str | None = None


def find_gpus() -> Gpus:
    """Ask NVML. Never raises: a machine without it has no GPU that the harness can use."""
    import pynvml

    try:
        with _nvml():
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
def _nvml() -> Iterator[None]:
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
    """The device that ``auto``, ``cpu``, an index or a UUID stands for. Raises MachineError."""
    if request == "cpu" or (request == "auto" and not gpus.found):
        return CPU
    if request == "auto":
        return _device(gpus.found[0])
    for gpu in gpus.found:
        if request == str(gpu.index) or request.lower() == gpu.uuid.lower():
            return _device(gpu)
    there = ", ".join(f"{gpu.index} ({gpu.name}, {gpu.uuid})" for gpu in gpus.found)
    raise MachineError(
        f"GPU {request} is not there; this machine has {there or 'none'}"
        + (f" ({gpus.problem})" if gpus.problem else ""),
        "choose one that is there, or measure the processor with --gpu cpu",
    )


def _device(gpu: Gpu) -> Device:
    return Device(kind="gpu", name=gpu.name, uuid=gpu.uuid)
