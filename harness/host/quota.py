"""How much of the machine this process's control groups leave to it. Linux, cgroup v1 and v2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.host.text import number, read

T = TypeVar("T")

ROOT = Path("/")
MOUNT = "sys/fs/cgroup"
UNLIMITED_V1 = 1 << 60
"""cgroup v1 writes the largest multiple of a page where there is no limit."""


@dataclass(frozen=True)
class Quota:
    """`cpus` in processors' worth of time, `memory` in bytes; None where nothing limits it."""

    cpus: float | None
    memory: int | None


def quota(root: Path = ROOT) -> Quota:
    """The tightest limit of the process's groups and of those around them."""
    return Quota(
        cpus=min(_known(map(_cpus, folders("cpu", root))), default=None),
        memory=min(_known(map(_memory, folders("memory", root))), default=None),
    )


def folders(controller: str, root: Path = ROOT, pid: int | str = "self") -> Iterator[Path]:
    """The groups that hold a process, its own first, as far as they can be seen from here.

    Inside a container its own group is often the mount itself, whatever /proc calls it.
    """
    mount, path = _own(controller, root, pid)
    inner = mount.joinpath(*Path(path).parts[1:])
    seen = [inner, *inner.parents]
    yield from (folder for folder in seen if folder.is_relative_to(mount) and folder.is_dir())


def _own(controller: str, root: Path, pid: int | str) -> tuple[Path, str]:
    lines = (read(root / "proc" / str(pid) / "cgroup") or "").splitlines()
    split = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    for _, names, path in split:
        if controller in names.split(","):
            for name in (names, controller):
                if (root / MOUNT / name).is_dir():
                    return root / MOUNT / name, path
    unified = next((path for _, names, path in split if not names), "/")
    return root / MOUNT, unified


def _cpus(folder: Path) -> float | None:
    words = (read(folder / "cpu.max") or "").split()
    if len(words) == 2 and words[0].isdecimal() and int(words[1]):
        return int(words[0]) / int(words[1])
    share, period = number(folder / "cpu.cfs_quota_us"), number(folder / "cpu.cfs_period_us")
    return share / period if share is not None and share > 0 and period else None


def _memory(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        limit = number(folder / name)
        if limit is not None and limit < UNLIMITED_V1:
            return limit
    return None


def _known(values: Iterable[T | None]) -> Iterator[T]:
    return (value for value in values if value is not None)
