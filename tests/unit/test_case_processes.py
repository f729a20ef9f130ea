"""A case's processor time where kernels and managers of control groups keep it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.probes.case import CaseProcesses

PID = 4711
ID = "3f" * 32

LAYOUTS = {
    "v1, cgroupfs": (
        f"4:cpu,cpuacct:/docker/{ID}\n",
        f"sys/fs/cgroup/cpu,cpuacct/docker/{ID}",
        {"cpuacct.usage": "2500000000\n"},
    ),
    "v1, apart": (
        f"4:cpuacct:/docker/{ID}\n",
        f"sys/fs/cgroup/cpuacct/docker/{ID}",
        {"cpuacct.usage": "2500000000\n"},
    ),
    "v2, systemd": (
        f"0::/system.slice/docker-{ID}.scope\n",
        f"sys/fs/cgroup/system.slice/docker-{ID}.scope",
        {"cpu.stat": "usage_usec 2500000\nuser_usec 1\n"},
    ),
    "v2, podman": (
        f"0::/machine.slice/libpod-{ID}.scope\n",
        f"sys/fs/cgroup/machine.slice/libpod-{ID}.scope",
        {"cpu.stat": "usage_usec 2500000\n"},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_containers_time_is_read_from_its_own_group(tmp_path: Path, layout: str) -> None:
    groups, folder, files = LAYOUTS[layout]
    (tmp_path / f"proc/{PID}").mkdir(parents=True)
    (tmp_path / f"proc/{PID}/cgroup").write_text(groups)
    (tmp_path / folder).mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / folder / name).write_text(text)
    assert CaseProcesses(PID, ID, tmp_path).cpu_s() == 2.5
    assert CaseProcesses(PID, "ab" * 32, tmp_path).cpu_s() is None


def test_a_group_that_counts_nothing_and_one_that_cannot_be_seen(tmp_path: Path) -> None:
    assert CaseProcesses(PID, ID, tmp_path).cpu_s() is None
    groups, folder, _ = LAYOUTS["v2, systemd"]
    (tmp_path / f"proc/{PID}").mkdir(parents=True)
    (tmp_path / f"proc/{PID}/cgroup").write_text(groups)
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "cpu.stat").write_text("nr_periods 0\n")
    assert CaseProcesses(PID, ID, tmp_path).cpu_s() is None
    assert CaseProcesses(PID, ID, tmp_path).pids() == set()


def test_without_a_container_it_is_the_processes_own() -> None:
    mine = CaseProcesses(os.getpid())
    before = mine.cpu_s()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    after = mine.cpu_s()
    assert before is not None
    assert after is not None
    assert after - before >= 0.03  # counted in hundredths
    assert os.getpid() in mine.pids()
    assert CaseProcesses(2**22 + 1).cpu_s() is None


def test_a_process_that_is_not_the_containers_limits_nothing(tmp_path: Path) -> None:
    """Its number may be another's, as seen from here."""
    groups, folder, _ = LAYOUTS["v2, systemd"]
    (tmp_path / f"proc/{PID}").mkdir(parents=True)
    (tmp_path / f"proc/{PID}/cgroup").write_text(groups)
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "cpu.stat").write_text("nr_periods 9\nnr_throttled 3\n")
    assert list(CaseProcesses(PID, ID, tmp_path).periods().values()) == [(9, 3)]
    assert CaseProcesses(PID, "ab" * 32, tmp_path).periods() == {}


def test_a_kernel_that_tells_no_children_gives_no_part_of_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("harness.probes.processes._children", lambda pid: tmp_path / "none")
    assert CaseProcesses(os.getpid()).cpu_s() is None


def test_it_is_what_the_kernel_tells_of_processes_and_of_those_that_ended() -> None:
    """A child that has been waited for is in its parent's, one at work beside it."""
    burn = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
    before = CaseProcesses(os.getpid()).cpu_s()
    subprocess.run([sys.executable, "-c", burn], check=True)
    after = CaseProcesses(os.getpid()).cpu_s()
    mine, ended = psutil.Process().cpu_times(), 0.18
    assert before is not None
    assert after is not None
    assert after - before >= ended
    whole = mine.user + mine.system + mine.children_user + mine.children_system
    assert after == pytest.approx(whole, abs=0.1)
