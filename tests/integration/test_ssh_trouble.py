"""Machines that cannot take a job: each is told in one message with its next step, by real ssh."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import run_harness
from tests.integration import ssh_machines
from tests.integration.conftest import mount
from tests.integration.ssh_machines import Machine, Machines, free_port, keygen

MATRIX = """
axes: {model: [model-a], dataset: [synthetic]}
defaults: {protocol: smoke}
"""
_OLD = """#!/bin/sh
[ "$1" = "-c" ] && exit 1
shift
exec {python} -c 'import sys
sys.version_info = (3, 7, 3, "final", 0)
exec(sys.stdin.read())' "$@"
"""


@pytest.fixture(scope="module")
def all_machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with ssh_machines.machines(tmp_path_factory.mktemp("ssh")) as found:
        bare = tmp_path_factory.mktemp("bare")
        for name in ("sh", "mkdir", "cat"):
            (bare / name).symlink_to(str(shutil.which(name)))
        found.start("usual", "127.0.0.2")
        found.start("bare", "127.0.0.3", path=str(bare))
        yield found


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    path = tmp_path / "matrix.yaml"
    path.write_text(MATRIX)
    return path


Attempt = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def attempt(all_machines: Machines, matrix: Path, tmp_path: Path) -> Attempt:
    def on(*addresses: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        named = [word for address in addresses for word in ("--on", address)]
        line = ("matrix", matrix, *named, "--results", tmp_path / "r", "--runtime", "local")
        ended = run_harness(*line, env={**all_machines.env, **(env or {})})
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    return on


@pytest.fixture
def usual(all_machines: Machines) -> Machine:
    return all_machines.there[0]


def with_config(machines: Machines, folder: Path, **changes: Path) -> dict[str, str]:
    """The tests' ssh configuration with other files."""
    text = (machines.folder / "ssh_config").read_text()
    for name, path in changes.items():
        old = next(line for line in text.splitlines() if line.split()[:1] == [name])
        text = text.replace(old, f"  {name} {path}")
    (folder / "config").write_text(text)
    return {"HARNESS_SSH_CONFIG": str(folder / "config")}


def told(ended: subprocess.CompletedProcess[str], message: str, step: str) -> None:
    assert ended.returncode == 3, ended.stderr
    assert message in ended.stderr
    assert step in ended.stderr.partition("  try: ")[2]


def test_a_host_key_that_has_changed(
    all_machines: Machines, usual: Machine, attempt: Attempt, tmp_path: Path
) -> None:
    keygen(tmp_path / "other")
    key = (tmp_path / "other.pub").read_text()
    known = tmp_path / "known"
    known.write_text(f"[{usual.host}]:{usual.port} {key}")
    ended = attempt(
        usual.address, env=with_config(all_machines, tmp_path, UserKnownHostsFile=known)
    )
    told(ended, "is not the one that was known", f"ssh-keygen -R '[{usual.host}]:{usual.port}'")
    assert known.read_text() == f"[{usual.host}]:{usual.port} {key}"  # nothing was accepted


def test_a_host_key_that_is_not_known(
    all_machines: Machines, usual: Machine, attempt: Attempt, tmp_path: Path
) -> None:
    known = tmp_path / "known"
    ended = attempt(
        usual.address, env=with_config(all_machines, tmp_path, UserKnownHostsFile=known)
    )
    told(ended, "is not known here", "connect once by hand")
    assert not known.exists()


def test_a_key_that_is_refused(
    all_machines: Machines, usual: Machine, attempt: Attempt, tmp_path: Path
) -> None:
    keygen(tmp_path / "other")
    other = with_config(all_machines, tmp_path, IdentityFile=tmp_path / "other")
    told(attempt(usual.address, env=other), "refuses this user's keys", "ssh-copy-id")


def test_nobody_listens_and_there_is_no_such_host(attempt: Attempt) -> None:
    port = free_port("127.0.0.4")
    told(attempt(f"ssh://127.0.0.4:{port}"), "nothing listens", f"ssh -p {port} 127.0.0.4")
    told(attempt("ssh://no-such-host.invalid"), "there is no host", "~/.ssh/config")


def test_a_machine_without_python_and_one_whose_python_is_too_old(
    all_machines: Machines, attempt: Attempt
) -> None:
    bare = all_machines.there[1]
    told(attempt(bare.address), "has no python3", "install Python 3.10 or later")
    bare.program("python3", _OLD.format(python=sys.executable))
    told(attempt(bare.address), "has Python 3.7.3", "install a newer one there")
    assert bare.left() == []


def test_a_machine_without_room_and_one_that_cannot_be_written(
    small_disk: Path, usual: Machine, attempt: Attempt
) -> None:
    there = f"{usual.address}{small_disk}"
    told(attempt(there), "has 1.00 MiB free in", "ssh://host/folder")
    mount("-o", "remount,ro", small_disk)
    told(attempt(there), "cannot be written: Read-only file system", "ssh://host/folder")
    assert list(small_disk.iterdir()) == []


def test_one_machine_s_trouble_is_not_the_other_s(
    all_machines: Machines, usual: Machine, attempt: Attempt
) -> None:
    ended = attempt("ssh://127.0.0.4:1", "ssh://no-such-host.invalid")
    assert ended.returncode == 3
    assert "error: 127.0.0.4: nothing listens at ssh://127.0.0.4:1" in ended.stderr
    assert "error: no-such-host.invalid: there is no host" in ended.stderr


def test_options_that_do_not_go_together(matrix: Path, usual: Machine) -> None:
    for words, said in (
        (("--on", "gpu1"), "no address of a machine"),
        (("--on", usual.address, "--resume", "latest"), "--resume goes on with a run"),
        (("--on", usual.address, "--events", "x"), "--events is of a run on this machine"),
        (("--on", "ssh://a", "--on", "ssh://b", "--machine", "m"), "--machine names one machine"),
        (("--keep",), "--keep is of a run on another machine"),
        (("--on", usual.address, "--until-ci", "x"), "x"),
        (("--on", usual.address, "--only", "model=model-b"), "leave none of the 1 cases"),
    ):
        ended = run_harness("matrix", matrix, *words)
        assert ended.returncode == 2, ended.stderr
        assert said in ended.stderr
