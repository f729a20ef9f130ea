"""Whether this is a container, a virtual machine, both, or neither."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from harness.host.text import read

ROOT = Path("/")
NONE = "none"

MARKS = {"run/.containerenv": "podman", ".dockerenv": "docker", ".singularity.d": "apptainer"}
"""Files that an engine leaves in each of its containers."""

GROUPS = re.compile(r"kubepods|docker|libpod|lxc|containerd")
MAKERS = (
    ("amazon ec2", "amazon"),
    ("google", "google"),
    ("microsoft corporation virtual", "hyper-v"),
    ("vmware", "vmware"),
    ("virtualbox", "virtualbox"),
    ("innotek", "virtualbox"),
    ("xen", "xen"),
    ("openstack", "openstack"),
    ("qemu", "qemu"),
    ("kvm", "kvm"),
)
"""What a virtual machine's maker and product read as, in lower case."""


def container(root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> str:
    """What keeps the container that this is, ``none`` where nothing shows one."""
    if "KUBERNETES_SERVICE_HOST" in environment:
        return "kubernetes"
    for mark, name in MARKS.items():
        if (root / mark).exists():
            return name
    told = environment.get("container") or read(root / "run/systemd/container")
    if told:
        return told
    group = GROUPS.search(read(root / "proc/1/cgroup") or "")
    return group.group() if group else NONE


def virtual_machine(root: Path = ROOT) -> str:
    """The kind of virtual machine, ``none`` where nothing shows one.

    ``unknown`` where the processor says that it is one and nothing says which.
    """
    return _by_systemd() or by_files(root)


def by_files(root: Path = ROOT) -> str:
    """The same by what the machine calls itself, and by the processor's flags."""
    names = [read(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name")]
    called = " ".join(name for name in names if name).lower()
    flags = re.search(r"^flags\s*:(.*)$", read(root / "proc/cpuinfo") or "", re.MULTILINE)
    is_one = flags is not None and "hypervisor" in flags[1].split()
    if flags is not None and not is_one:
        return NONE  # a maker's name alone proves nothing: Google and Amazon lend bare metal too
    known = next((kind for words, kind in MAKERS if words in called), None)
    return known or ("unknown" if is_one else NONE)


def _by_systemd() -> str | None:
    program = shutil.which("systemd-detect-virt")
    if program is None:
        return None
    try:
        said = subprocess.run(
            [program, "--vm"], capture_output=True, text=True, timeout=2, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None
