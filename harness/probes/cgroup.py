"""How much of the machine's memory a container has used, as the kernel counts it. Linux."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MOUNT = "sys/fs/cgroup"
PEAK_V1 = "memory.max_usage_in_bytes"
PEAK_V2, CURRENT_V2 = "memory.peak", "memory.current"
"""The peak came with Linux 5.19; before, there is only what is used at the moment."""


@dataclass(frozen=True)
class MemoryGroup:
    """A container's control group; `file` holds a peak, or the moment's use where `sampled`."""

    folder: Path
    file: str
    sampled: bool

    def used(self) -> int | None:
        """Bytes, the page cache of its files included; None once the group is gone."""
        try:
            return int((self.folder / self.file).read_text("ascii"))
        except (OSError, ValueError):
            return None

    def pids(self) -> set[int]:
        """Its processes, also those of groups that it made itself."""
        found: set[int] = set()
        for folder, _, _ in os.walk(self.folder):
            try:
                found |= set(map(int, Path(folder, "cgroup.procs").read_text("ascii").split()))
            except (OSError, ValueError):
                continue
        return found


def find(pid: int, container: str, root: Path = Path("/")) -> MemoryGroup | None:
    """The memory group of the container with this whole id, whose first process is `pid`.

    None where it has none of its own, as in a rootless engine on cgroup v1, or where it cannot be
    seen from here: an engine in a virtual machine counts its processes by itself.
    """
    try:
        lines = (root / "proc" / str(pid) / "cgroup").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return None
    paths = {
        name: path
        for _, names, path in (line.split(":", 2) for line in lines if line.count(":") >= 2)
        for name in names.split(",")
    }
    if "memory" in paths:
        return _group(root / MOUNT / "memory", paths["memory"], container)
    return _group(root / MOUNT, paths.get("", ""), container)


def _group(mount: Path, path: str, container: str) -> MemoryGroup | None:
    folder = mount
    for part in Path(path).parts[1:]:
        folder /= part
        if container in part:  # docker-ID.scope, libpod-ID.scope, ID: by what manages the groups
            return _read_by(folder)
    return None


def _read_by(folder: Path) -> MemoryGroup | None:
    for file in (PEAK_V1, PEAK_V2, CURRENT_V2):
        if (folder / file).exists():
            return MemoryGroup(folder, file, sampled=file == CURRENT_V2)
    return None
