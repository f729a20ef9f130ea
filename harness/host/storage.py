"""The storage below a folder: what it is, and how fast a file is read from it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from harness.host.text import read
from harness.model import Frozen

ROOT = Path("/")
NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs")
)
NETWORK_BY_FUSE = frozenset(("fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.gcsfuse"))
FROM_HOST = frozenset(["9p", "virtiofs", "vboxsf", "fuse.grpcfuse"])
MEMORY = frozenset(["tmpfs", "ramfs"])
SLOWEST_FIRST = ("hdd", "ssd", "nvme")


class Storage(Frozen):
    """`kind`: nvme, ssd, hdd, network, host (a folder that a virtual machine's host shares),
    overlay (a container's own layer), memory; None where it cannot be told. `filesystem` is the
    kernel's word.
    """

    kind: str | None
    filesystem: str | None


def storage(folder: Path, root: Path = ROOT) -> Storage:
    """What holds the folder. In a virtual machine ``hdd`` or ``ssd`` is what its host claims."""
    number = os.stat(folder).st_dev  # noqa: PTH116 - as in the kernel's table
    return described(f"{os.major(number)}:{os.minor(number)}", root)


def described(device: str, root: Path = ROOT) -> Storage:
    """What the mounted device ``major:minor`` is."""
    filesystem, source = _mounted(device, root)
    if filesystem in NETWORK | NETWORK_BY_FUSE:
        return Storage(kind="network", filesystem=filesystem)
    if filesystem in FROM_HOST:
        return Storage(kind="host", filesystem=filesystem)
    if filesystem in MEMORY:
        return Storage(kind="memory", filesystem=filesystem)
    if filesystem == "overlay":
        return Storage(kind="overlay", filesystem=filesystem)
    block = root / "sys/dev/block" / device
    if not block.exists():  # btrfs and zfs number their mounts themselves
        block = root / "sys/class/block" / Path(source).name
    return Storage(kind=_slowest(_disks(block)), filesystem=filesystem)


def _mounted(device: str, root: Path) -> tuple[str | None, str]:
    for line in (read(root / "proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2:3] == [device] and len(after.split()) >= 2:
            filesystem, source = after.split()[:2]
            return filesystem, source
    return None, ""


def _disks(block: Path) -> list[Path]:
    """The disks under a partition, a mapping or an array."""
    if not block.exists():
        return []
    place = block.resolve()
    below = sorted((place / "slaves").glob("*"))
    if below:
        return [disk for one in below for disk in _disks(one)]
    return [place.parent if (place / "partition").exists() else place]


def _slowest(disks: Iterable[Path]) -> str | None:
    kinds = {_kind(disk) for disk in disks}
    return next((kind for kind in SLOWEST_FIRST if kind in kinds), None)


def _kind(disk: Path) -> str | None:
    if re.match(r"nvme\d", disk.name):
        return "nvme"
    return {"0": "ssd", "1": "hdd"}.get(read(disk / "queue/rotational") or "")
