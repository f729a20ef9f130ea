"""`harness matrix --on ssh://…` on two real sshd: measured there, followed, brought back here."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model import Status
from harness.results.reading import Run, read_run
from tests.conftest import run_harness
from tests.integration import ssh_machines
from tests.integration.ssh_machines import (
    Machine,
    Machines,
    Wire,
    begin,
    end_all,
    release,
    stand_in,
    until,
)

REAL = """
axes: {model: [model-a], dataset: [mnist-10k]}
defaults: {protocol: smoke}
dataset_fallback: synthetic
"""
TWO_CASES = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [32, 64]}
defaults: {protocol: smoke}
"""
AHEAD = """#!/bin/sh
[ "$1" = "-c" ] && exec {python} "$@"
shift
exec {python} -c 'import sys, time
now = time.time
time.time = lambda: now() + 3600
exec(sys.stdin.read())' "$@"
"""
"""A Python whose clock, as the first look at the machine asks for it, is an hour ahead."""


@pytest.fixture(scope="module")
def all_machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with ssh_machines.machines(tmp_path_factory.mktemp("ssh")) as found:
        for number in (1, 2):
            machine = found.start(f"m{number}", f"127.0.0.{number + 1}")
            machine.share_environments(found.folder / "envs")
        yield found


@pytest.fixture(scope="module")
def installed(all_machines: Machines) -> Machines:
    """One job with --keep has been there: what comes after it finds the environment."""
    folder = all_machines.folder / "first"
    folder.mkdir()
    (folder / "matrix.yaml").write_text(TWO_CASES)
    fast = stand_in(folder / "fast")
    address = all_machines.there[0].address
    line = ("matrix", folder / "matrix.yaml", "--on", address, "--keep", "--python", fast)
    ended = run_harness(*line, "--results", folder / "results", env=all_machines.env)
    assert ended.returncode == 0, ended.stderr
    (job,) = all_machines.there[0].left()
    assert f"kept there: {all_machines.there[0].place}/jobs/{job}" in ended.stderr
    assert (all_machines.there[0].place / "jobs" / job / "results").is_dir()
    subprocess.run(["rm", "-r", all_machines.there[0].place / "jobs" / job], check=True)
    return all_machines


@pytest.fixture(autouse=True)
def a_clean_start(request: pytest.FixtureRequest, all_machines: Machines) -> Iterator[None]:
    """Whatever a test left that failed midway is no trouble of the next one's."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed == before:
        return
    end_all()
    for machine in all_machines.there:
        for name in machine.left():
            kill_all(machine.place / "jobs" / name)
            shutil.rmtree(machine.place / "jobs" / name)
    shutil.rmtree(all_machines.state / "harness" / "jobs", ignore_errors=True)


@pytest.fixture
def two_cases(tmp_path: Path) -> Path:
    path = tmp_path / "matrix.yaml"
    path.write_text(TWO_CASES)
    return path


def brought(results: Path) -> list[Run]:
    return [read_run(path.parent) for path in sorted(results.glob("*/run.json"))]


def arrived(results: Path) -> list[Run]:
    """Of those brought, what has a record already: its facts come before its first one."""
    return [run for run in brought(results) if run.records]


def processes_of(job: Path) -> list[int]:
    """Whatever has the job's folder in its command line, or works in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes().decode()
            place = str((path / "cwd").readlink())
        except OSError:
            continue
        if str(job) in line or place.startswith(str(job)):
            found.append(int(path.name))
    return found


def kill_all(job: Path) -> None:
    """Until a look finds none: one may end by itself, or begin another, between look and kill."""
    while found := processes_of(job):
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


def test_the_wheel_is_a_whole_installation(installed: Machines) -> None:
    (env,) = [path for path in (installed.folder / "envs").iterdir() if path.is_dir()]
    python = env / "bin" / "python"
    for line in (["-m", "pip", "check"], ["-m", "harness", "images", "list"]):
        ended = subprocess.run(
            [python, *line], capture_output=True, text=True, cwd=env, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
    (files,) = env.glob("lib/python3*/site-packages/harness/_docker")
    assert (files / "requirements").is_dir()


@pytest.mark.tensorflow
@pytest.mark.usefixtures("local_tensorflow")
def test_a_real_case_on_two_machines_side_by_side(installed: Machines, tmp_path: Path) -> None:
    (tmp_path / "matrix.yaml").write_text(REAL)
    on = [word for machine in installed.there for word in ("--on", machine.address)]
    results = tmp_path / "results"
    line = ("matrix", tmp_path / "matrix.yaml", *on, "--python", sys.executable)
    ended = run_harness(*line, "--results", results, "--price-per-hour", "1.29", env=installed.env)
    assert ended.returncode == 0, ended.stderr
    one, two = brought(results)
    assert [record.status for run in (one, two) for record in run.records] == [Status.OK] * 2
    assert one.info.machine_hash != two.info.machine_hash
    assert one.records[0].case_key == two.records[0].case_key
    assert one.records[0].software_key == two.records[0].software_key
    for run in (one, two):
        assert run.info.machine in ended.stdout  # a column each
        assert (run.path / "remote.log").read_text().count("case 1/1") == 1
        assert (run.path / "cases").is_dir()
        assert not list(run.path.rglob("*.part"))
    for machine in installed.there:
        assert f"{machine.host}: case 1/1" not in ended.stdout
        assert f"case 1/1: {machine.host} model-a" in ended.stderr
        assert machine.left() == []
        assert not (machine.home / ".local" / "state").exists()
    assert not list(results.glob(".arriving*"))
    compared = run_harness("compare", one.path, two.path)
    assert "identical" in compared.stdout + compared.stderr


def test_a_connection_that_is_cut_loses_nothing(
    installed: Machines, two_cases: Path, tmp_path: Path
) -> None:
    machine = installed.there[0]
    wire = Wire(machine)
    installed.trust(machine, wire.port)
    slow = stand_in(tmp_path / "slow", held=True)
    line = ("matrix", two_cases, "--on", wire.address, "--python", slow)
    going = begin(tmp_path / "log", *line, "--results", tmp_path / "r", env=installed.env)
    going.comes("case 1/2")
    wire.cut()
    before = wire.connections
    going.comes("lost the connection")
    until(lambda: wire.connections > before + 1)
    release(slow)
    wire.mend()
    assert going.wait() == 0, going.log.read_text()
    wire.close()
    text = going.log.read_text()
    assert [text.count(f"case {number}/2") for number in (1, 2)] == [1, 1]
    (run,) = brought(tmp_path / "r")
    assert [record.status for record in run.records] == [Status.OK] * 2
    assert machine.left() == []


def test_a_killed_harness_leaves_a_job_that_another_takes_up(
    installed: Machines, two_cases: Path, tmp_path: Path
) -> None:
    machine = installed.there[1]
    slow = stand_in(tmp_path / "slow", held=True)
    line = ("matrix", two_cases, "--on", machine.address, "--python", slow)
    going = begin(tmp_path / "log", *line, "--results", tmp_path / "r", env=installed.env)
    going.comes("case 1/2")
    (job,) = machine.left()
    busy = run_harness("attach", job, env=installed.env)
    assert busy.returncode == 2
    assert f"another harness follows the job {job}" in busy.stderr
    going.kill()
    listed = run_harness("attach", "--list", env=installed.env)
    assert f"{job}  " in listed.stdout
    assert machine.address in listed.stdout
    release(slow)
    ended = run_harness("attach", env=installed.env)
    assert ended.returncode == 0, ended.stderr
    (run,) = brought(tmp_path / "r")
    assert [record.status for record in run.records] == [Status.OK] * 2
    assert run.info.machine in ended.stdout
    assert machine.left() == []
    nothing = run_harness("attach", env=installed.env)
    assert nothing.returncode == 2
    assert "there is no open job" in nothing.stderr


def test_a_machine_that_vanishes_leaves_what_had_ended(
    installed: Machines, two_cases: Path, tmp_path: Path
) -> None:
    machine = installed.there[0]
    wire = Wire(machine)
    installed.trust(machine, wire.port)
    slow = stand_in(tmp_path / "slow", held=True)
    line = ("matrix", two_cases, "--on", wire.address, "--python", slow)
    going = begin(tmp_path / "log", *line, "--results", tmp_path / "r", env=installed.env)
    going.comes("case 2/2")
    (job,) = machine.left()
    (part,) = until(lambda: arrived(tmp_path / "r"))
    wire.cut()
    going.comes("lost the connection")
    going.interrupt()
    going.comes("asking the run there to end")
    going.interrupt()
    assert going.wait() == 130, going.log.read_text()
    assert f"it goes on there: harness attach {job}" in going.log.read_text()
    assert f"what has arrived until now: {part.path}" in going.log.read_text()
    assert [record.status for record in part.records] == [Status.OK]
    release(slow)
    there = machine.place / "jobs" / job / "results" / part.path.name
    until(lambda: len((there / "records.jsonl").read_bytes().splitlines()) == 2)
    (attempt,) = part.path.glob("cases/*/r1/a1")
    for file in attempt.iterdir():
        assert file.read_bytes() == (there / file.relative_to(part.path)).read_bytes()
    assert run_harness("report", part.path).returncode == 0

    wire.mend()
    until(lambda: (there.parents[1] / "exit").read_text().strip())
    ended = run_harness("attach", job, env=installed.env)
    assert ended.returncode == 0, ended.stderr
    (run,) = brought(tmp_path / "r")
    assert run.path == part.path
    assert [record.status for record in run.records] == [Status.OK] * 2
    assert (run.path / "remote.log").is_file()
    assert json.loads((run.path / "remote.json").read_text())["whole"] is True
    assert not list((tmp_path / "r").glob(".arriving*"))
    wire.close()


def test_a_job_whose_machine_was_wiped_is_told_and_forgotten(
    installed: Machines, two_cases: Path, tmp_path: Path
) -> None:
    machine = installed.there[0]
    slow = stand_in(tmp_path / "slow", held=True)
    line = ("matrix", two_cases, "--on", machine.address, "--python", slow)
    going = begin(tmp_path / "log", *line, "--results", tmp_path / "r", env=installed.env)
    going.comes("case 2/2")
    (part,) = until(lambda: arrived(tmp_path / "r"))
    (job,) = machine.left()
    going.kill()
    kill_all(machine.job_folder())
    shutil.rmtree(machine.job_folder())
    ended = run_harness("attach", job, env=installed.env)
    assert ended.returncode == 3
    assert "is no longer there" in ended.stderr
    assert "what had arrived is here" in ended.stderr
    assert f"{part.path} (what had ended there and has arrived)" in ended.stderr
    assert part.info.machine in ended.stdout
    assert job not in run_harness("attach", "--list", env=installed.env).stdout


def test_ctrl_c_ends_the_run_there_and_brings_what_was_measured(
    installed: Machines, two_cases: Path, tmp_path: Path
) -> None:
    machine = installed.there[0]
    slow = stand_in(tmp_path / "slow", held=True)
    line = ("matrix", two_cases, "--on", machine.address, "--python", slow)
    going = begin(tmp_path / "log", *line, "--results", tmp_path / "r", env=installed.env)
    going.comes("case 2/2")
    job = machine.job_folder()
    assert processes_of(job)
    going.interrupt()
    assert going.wait() == 130, going.log.read_text()
    (run,) = brought(tmp_path / "r")
    assert [record.status for record in run.records] == [Status.OK, Status.INTERRUPTED]
    assert machine.left() == []
    until(lambda: not processes_of(job), 60)  # long before a held case ends by itself


def test_a_run_that_is_killed_there_is_told_and_what_it_measured_is_kept(
    installed: Machines, two_cases: Path, tmp_path: Path
) -> None:
    one, two = installed.there
    slow = stand_in(tmp_path / "slow", held=True)
    on = ("--on", one.address, "--on", two.address)
    line = ("matrix", two_cases, *on, "--python", slow)
    going = begin(tmp_path / "log", *line, "--results", tmp_path / "r", env=installed.env)
    going.comes(f"case 2/2: {one.host} ")
    kill_all(one.job_folder())
    release(slow)
    assert going.wait() == 3
    text = going.log.read_text()
    assert f"error: {one.host}: the run there ended without a word" in text
    assert "what was measured is kept" in text
    kept = {len(run.records): run for run in brought(tmp_path / "r")}
    assert sorted(kept) == [1, 2], text  # the other machine measured all of it
    assert all(record.status is Status.OK for run in kept.values() for record in run.records)
    assert one.left() == two.left() == []


def test_a_disk_that_fills_up_there_ends_the_run_and_keeps_what_it_measured(
    as_root: None, installed: Machines, two_cases: Path, tmp_path: Path
) -> None:
    machine = installed.there[1]
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1100m", "tmpfs", disk], check=True)
    try:
        share(disk, installed)
        slow = stand_in(tmp_path / "slow", held=True)
        line = ("matrix", two_cases, "--on", f"{machine.address}{disk}", "--python", slow)
        going = begin(tmp_path / "log", *line, "--results", tmp_path / "r", env=installed.env)
        going.comes("case 2/2")
        fill(disk)
        release(slow)
        code = going.wait()
        text = going.log.read_text()
        (run,) = brought(tmp_path / "r")
        assert run.records[0].status is Status.OK
        assert len(run.records) == 1 or run.records[1].status is Status.INFRA, text
        assert code in (1, 3)
        assert "No space left on device" in text
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> None:
    """To the last byte."""
    with (disk / "filler").open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - (1 << 20))
        file.seek(0, os.SEEK_END)
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))


def share(disk: Path, installed: Machines) -> None:
    place = disk / "dl-feasibility-harness"
    place.mkdir()
    (place / "envs").symlink_to(installed.folder / "envs")


def test_another_version_and_a_clock_apart_are_noted_behind_a_jump_host(
    installed: Machines, two_cases: Path, tmp_path: Path
) -> None:
    jump, machine = installed.there
    address = installed.behind("inner", machine, jump)
    machine.program("harness", "#!/bin/sh\necho harness 0.0.1\n")
    machine.program("python3", AHEAD.format(python=sys.executable))
    fast = stand_in(tmp_path / "fast")
    line = ("matrix", two_cases, "--on", address, "--python", fast, "--only")
    try:
        ended = run_harness(*line, "batch_size=32", "--results", tmp_path / "r", env=installed.env)
    finally:
        (machine.folder / "bin" / "harness").unlink()
        (machine.folder / "bin" / "python3").unlink()
    assert ended.returncode == 0, ended.stderr
    (run,) = brought(tmp_path / "r")
    assert len(run.records) == 1
    clock, version = json.loads((run.path / "remote.json").read_text())["notes"]
    said = re.match(r"its clock is (\d+) s ahead of this machine's", clock)
    assert said is not None, clock
    assert 3500 < int(said[1]) <= 3600  # less what the look at the machine took
    assert "harness 0.0.1 is installed there; this run uses its own" in version
    for note in (clock, version):
        assert note in ended.stderr
    assert (jump.left(), machine.left()) == ([], [])


def test_what_the_harness_there_refuses_is_told_in_its_own_words(
    installed: Machines, two_cases: Path, tmp_path: Path
) -> None:
    machine: Machine = installed.there[0]
    line = ("matrix", two_cases, "--on", machine.address, "--python", "/no/such/python")
    ended = run_harness(*line, "--results", tmp_path / "r", env=installed.env)
    assert ended.returncode == 2
    assert f"error: {machine.host}: --python /no/such/python: there is no such" in ended.stderr
    assert "try: name the interpreter itself" in ended.stderr
    assert machine.left() == []
    assert brought(tmp_path / "r") == []
