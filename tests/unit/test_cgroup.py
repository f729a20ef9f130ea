"""A container's memory in the layouts that kernels and managers of control groups make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.probes.cgroup import find

PID = 4711
ID = "3f" * 32

V1, V2 = "sys/fs/cgroup/memory", "sys/fs/cgroup"
PEAK_V1, PEAK_V2, CURRENT = "memory.max_usage_in_bytes", "memory.peak", "memory.current"


def machine(
    root: Path, groups: str, folder: str | None = None, files: dict[str, str] | None = None
) -> Path:
    """A tree with a process's groups, and one group's files."""
    (root / f"proc/{PID}").mkdir(parents=True)
    (root / f"proc/{PID}/cgroup").write_text(groups)
    if folder is not None:
        (root / folder).mkdir(parents=True)
        for name, text in (files or {}).items():
            (root / folder / name).write_text(text)
    return root


LAYOUTS = {
    "v1, cgroupfs, hybrid": (
        f"9:name=systemd:/docker/{ID}\n4:memory:/docker/{ID}\n0::/docker/{ID}\n",
        f"{V1}/docker/{ID}",
        PEAK_V1,
    ),
    "v1, systemd": (
        f"5:cpu,cpuacct:/a\n4:memory:/system.slice/docker-{ID}.scope\n0::/\n",
        f"{V1}/system.slice/docker-{ID}.scope",
        PEAK_V1,
    ),
    "v1, podman": (
        f"4:memory:/machine.slice/libpod-{ID}.scope\n",
        f"{V1}/machine.slice/libpod-{ID}.scope",
        PEAK_V1,
    ),
    "v2, cgroupfs": (f"0::/docker/{ID}\n", f"{V2}/docker/{ID}", PEAK_V2),
    "v2, systemd": (
        f"0::/system.slice/docker-{ID}.scope\n",
        f"{V2}/system.slice/docker-{ID}.scope",
        PEAK_V2,
    ),
    "v2, rootless podman": (
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container\n",
        f"{V2}/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
        PEAK_V2,
    ),
    "v2, before Linux 5.19": (
        f"0::/system.slice/docker-{ID}.scope\n",
        f"{V2}/system.slice/docker-{ID}.scope",
        CURRENT,
    ),
}


@pytest.mark.parametrize(("groups", "folder", "file"), LAYOUTS.values(), ids=LAYOUTS)
def test_the_containers_own_group_is_found(
    tmp_path: Path, groups: str, folder: str, file: str
) -> None:
    group = find(PID, ID, machine(tmp_path, groups, folder, {file: "314572800\n"}))
    assert group is not None
    assert group.used() == 300 << 20
    assert group.sampled == (file == CURRENT)


def test_the_kernels_peak_is_preferred_to_the_moment(tmp_path: Path) -> None:
    files = {PEAK_V2: "300\n", CURRENT: "200\n"}
    group = find(PID, ID, machine(tmp_path, f"0::/docker/{ID}\n", f"{V2}/docker/{ID}", files))
    assert group is not None
    assert (group.used(), group.sampled) == (300, False)


@pytest.mark.parametrize(
    "groups",
    [
        "0::/user.slice/user-1000.slice/session-2.scope\n",  # the caller's: rootless on cgroup v1
        f"0::/docker/{'77' * 32}\n",  # another container's: a virtual machine's engine
        f"0::/../docker/{ID}\n",  # outside of what this process may see
        "4:memory\n",
        "",
    ],
)
def test_a_group_that_is_not_the_containers_is_never_read(tmp_path: Path, groups: str) -> None:
    shared = {PEAK_V2: "1\n"}
    root = machine(tmp_path, groups, f"{V2}/user.slice/user-1000.slice/session-2.scope", shared)
    assert find(PID, ID, root) is None


def test_a_process_that_is_gone_has_none(tmp_path: Path) -> None:
    assert find(PID, ID, tmp_path) is None


def test_a_group_without_the_memory_controller_is_none(tmp_path: Path) -> None:
    root = machine(tmp_path, f"0::/docker/{ID}\n", f"{V2}/docker/{ID}", {"cgroup.procs": ""})
    assert find(PID, ID, root) is None


def test_once_it_is_gone_nothing_is_told(tmp_path: Path) -> None:
    folder = f"{V2}/docker/{ID}"
    group = find(PID, ID, machine(tmp_path, f"0::/docker/{ID}\n", folder, {PEAK_V2: "1\n"}))
    assert group is not None
    (tmp_path / folder / PEAK_V2).unlink()
    assert group.used() is None
    assert group.pids() == set()


def test_its_processes_are_those_of_all_its_groups(tmp_path: Path) -> None:
    folder = f"{V2}/docker/{ID}"
    files = {PEAK_V2: "1\n", "cgroup.procs": "10\n11\n"}
    root = machine(tmp_path, f"0::/docker/{ID}\n", folder, files)
    (root / folder / "inner").mkdir()
    (root / folder / "inner/cgroup.procs").write_text("12\n")
    group = find(PID, ID, root)
    assert group is not None
    assert group.pids() == {10, 11, 12}
