"""How much memory the probes get, and what holds them to it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.errors import InputError
from harness.matrix.fields import LEAST_MEMORY
from harness.model import Record
from harness.units import human_bytes


@dataclass(frozen=True)
class Room:
    """What a probe may take: `limit` bytes, None where nobody knows.

    `held_by` says by what; `on_device` whether that is a pool whose allocator tells its peak, or
    else memory of the host. `env`, `memory_limit` (the container's) and `device_memory` (the
    workload holds itself to it) are what does it.
    """

    limit: int | None
    held_by: str
    on_device: bool
    env: Mapping[str, str] = field(default_factory=dict)
    memory_limit: int | None = None
    device_memory: int | None = None

    def peak(self, record: Record) -> int | None:
        """What a probe took of it, in bytes."""
        memory = record.memory
        return memory.peak_device_bytes if self.on_device else memory.peak_host_bytes

    def __str__(self) -> str:
        size = human_bytes(self.limit) if self.limit is not None else "unknown size"
        return f"{size}, {self.held_by}"


@dataclass(frozen=True)
class Memory:
    """`asked` for on the command line; what the device has `in_all`; what is `free` on the host."""

    asked: int | None
    in_all: int | None
    free: int


def room_for(framework: str, kind: str, memory: Memory) -> Room:
    """The room on a device of `kind`. Raises InputError where so much cannot be had."""
    if memory.asked is not None and memory.asked < LEAST_MEMORY:
        raise InputError(f"--memory: no case starts in less than {human_bytes(LEAST_MEMORY)}")
    if memory.asked is None:
        return _all_of_the_gpu(memory) if kind == "gpu" else _container(memory.free)
    if kind == "gpu" and memory.in_all is not None and memory.asked > memory.in_all:
        raise InputError(
            f"--memory {human_bytes(memory.asked)} is more than the GPU's "
            f"{human_bytes(memory.in_all)}"
        )
    return _HELD[kind, framework](memory.asked, memory.in_all)


def _all_of_the_gpu(memory: Memory) -> Room:
    return Room(memory.in_all, "all that the GPU has", on_device=True)


def _pool(asked: int, _in_all: int | None) -> Room:
    held_by = "the pool that the framework takes of the GPU"
    return Room(asked, held_by, on_device=True, device_memory=asked)


def _share(asked: int, in_all: int | None) -> Room:
    if in_all is None:
        raise InputError(
            "--memory: JAX takes a share of the GPU's memory, and nothing tells how much that is",
            "leave --memory out, or use another framework",
        )
    share = f"{asked / in_all:.4f}"
    held_by = "JAX's share of the GPU (XLA_PYTHON_CLIENT_MEM_FRACTION)"
    return Room(asked, held_by, on_device=True, env={"XLA_PYTHON_CLIENT_MEM_FRACTION": share})


def _bfc(asked: int, _in_all: int | None) -> Room:
    env = {"TF_CPU_ALLOCATOR_USE_BFC": "true", "TF_CPU_BFC_MEM_LIMIT_IN_MB": str(asked >> 20)}
    return Room(asked, "TensorFlow's pool in main memory (BFC)", on_device=True, env=env)


def _container(asked: int, _in_all: int | None = None) -> Room:
    held_by = "the container's limit: what fails is the host's memory (oom_host)"
    return Room(asked, held_by, on_device=False, memory_limit=asked)


_HELD: Mapping[tuple[str, str], Callable[[int, int | None], Room]] = {
    ("gpu", "tensorflow"): _pool,
    ("gpu", "torch"): _pool,
    ("gpu", "jax"): _share,
    ("cpu", "tensorflow"): _bfc,
    ("cpu", "jax"): _container,
    ("cpu", "torch"): _container,
}
