"""AMD's GPUs as the kernel shows them, and the device nodes that reach one.

The compute driver's list (KFD) names those that ROCm can use, in ROCm's order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
NODES = "sys/class/kfd/kfd/topology/nodes"
DRM = "sys/class/drm"
VENDOR = "0x1002"


@dataclass(frozen=True)
class AmdGpu:
    """`uuid` as ROCm spells it, or the PCI address where a card has no id; `memory` in bytes.

    `render` is the name of its node in /dev/dri.
    """

    uuid: str
    name: str
    memory: int | None
    render: str


@dataclass(frozen=True)
class DeviceNodes:
    """What a process needs to compute on one card: paths, and the groups that may open them."""

    paths: tuple[str, ...]
    groups: tuple[int, ...]


def find_amd(root: Path = ROOT) -> tuple[AmdGpu, ...]:
    """The cards that ROCm can use, in its order. Never raises; `root` holds sys/ and dev/."""
    nodes = sorted((root / NODES).glob("*"), key=lambda node: (len(node.name), node.name))
    found = (_card(_properties(node), root) for node in nodes)
    return tuple(card for card in found if card is not None)


def unusable(root: Path = ROOT) -> str | None:
    """Why a card that is plugged in is not among those found; None where none is."""
    vendors = (_text(card / "device" / "vendor") for card in (root / DRM).glob("card[0-9]*"))
    if VENDOR in vendors and not find_amd(root):
        return "an AMD card is here, and the kernel's compute driver (KFD) does not list it"
    return None


def device_nodes(uuid: str, root: Path = ROOT) -> DeviceNodes:
    """The nodes of the card `uuid` alone. Raises LookupError where it or one of them is gone."""
    renders = [card.render for card in find_amd(root) if card.uuid == uuid]
    if not renders:
        raise LookupError(f"no AMD card {uuid} is here")
    paths = [root / "dev/kfd", root / "dev/dri" / renders[0]]
    try:
        groups = {path.stat().st_gid for path in paths}
    except OSError as error:
        raise LookupError(f"{error.filename}: {error.strerror}") from error
    return DeviceNodes(tuple(map(str, paths)), tuple(sorted(groups - {0})))


def _card(properties: dict[str, int], root: Path) -> AmdGpu | None:
    minor, version = properties.get("drm_render_minor", 0), properties.get("gfx_target_version", 0)
    if not minor or not version:  # a processor
        return None
    render = f"renderD{minor}"
    device = root / DRM / render / "device"
    memory = _text(device / "mem_info_vram_total")
    return AmdGpu(
        uuid=_uuid(_text(device / "unique_id"), properties.get("unique_id"), device),
        name=_text(device / "product_name") or f"AMD {_architecture(version)}",
        memory=int(memory) if memory.isdecimal() else None,
        render=render,
    )


def _uuid(written: str, number: int | None, device: Path) -> str:
    known = written or (f"{number:016x}" if number else "")
    return f"GPU-{known}" if known else f"PCI-{device.resolve().name}"


def _architecture(version: int) -> str:
    """110002 as gfx1102, 90010 as gfx90a."""
    major, minor, step = version // 10000, version // 100 % 100, version % 100
    return f"gfx{major}{minor:x}{step:x}"


def _properties(node: Path) -> dict[str, int]:
    return dict(_pairs(_text(node / "properties").splitlines()))


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, int]]:
    for line in lines:
        name, _, value = line.partition(" ")
        if value.isdecimal():
            yield name, int(value)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
