"""Devices that this machine describes to container engines (Container Device Interface)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
NVIDIA = "nvidia.com/gpu"


def nvidia_device(uuid: str) -> str:
    """The name that NVIDIA's toolkit gives a card."""
    return f"{NVIDIA}={uuid}"


def device_names(folders: Iterable[Path] = FOLDERS) -> set[str]:
    """All devices by their whole names. A file that cannot be read describes none."""
    import yaml

    names: set[str] = set()
    for folder in folders:
        for file in (path for path in folder.glob("*") if path.suffix in (".yaml", ".json")):
            try:
                described = yaml.safe_load(file.read_text("utf-8"))
                names |= {f"{described['kind']}={one['name']}" for one in described["devices"]}
            except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
                continue
    return names
