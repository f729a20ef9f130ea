"""What the agent does by itself: removing a job's folder, looking at a run, starting it once."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.remote import agent


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job whose run was killed."""
    job = tmp_path / "jobs" / "abcd1234"
    for folder in ("results/run", "data"):
        (job / folder).mkdir(parents=True)
    (tmp_path / "envs" / "key").mkdir(parents=True)
    for name in (agent.OURS, "agent.py", "lock", "pid", "results/run/run.json"):
        (job / name).touch()
    (job / "exit").write_text(" " * agent.EXIT_WIDTH)
    (job / "env").write_text(str(tmp_path / "envs" / "key"))
    return job


def late(times: int) -> Callable[..., None]:
    """A removal behind whose back a case goes on writing, so many times."""
    left = [times]
    remove = shutil.rmtree

    def rmtree(path: str, ignore_errors: bool = False) -> None:
        remove(path, ignore_errors=ignore_errors)
        if left[0] and Path(path).name in ("results", "brought"):
            left[0] -= 1
            Path(path).mkdir()

    return rmtree


def test_a_case_that_outlives_its_harness_keeps_nothing_there(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "rmtree", late(2))
    agent.clean(str(job))
    assert '{"cleaned": true}' in capsys.readouterr().out
    assert not tmp_path.exists()


def test_what_cannot_be_removed_is_told_and_can_be_asked_for_again(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", late(1000))
        patch.setattr(agent, "CLEAN_S", 0.0)
        with pytest.raises(SystemExit) as ended:
            agent.clean(str(job))
    assert ended.value.code == 1
    assert "goes on writing" in capsys.readouterr().err
    left = {path.name for path in job.iterdir()}
    assert left == {agent.OURS, "agent.py", "brought", "env", "exit", "pid"}
    assert agent.state(str(job)) == {"state": "died"}  # as before
    agent.clean(str(job))
    assert not tmp_path.exists()


def test_another_folder_is_never_removed(job: Path) -> None:
    (job / agent.OURS).unlink()
    with pytest.raises(SystemExit):
        agent.clean(str(job))
    assert (job / "results" / "run" / "run.json").is_file()


def test_two_that_look_at_once_do_not_take_each_other_for_the_run(job: Path) -> None:
    looking = agent.hold(str(job / "lock"), fcntl.LOCK_SH)
    assert looking is not None
    assert agent.state(str(job)) == {"state": "died"}
    os.close(looking)
    running = agent.hold(str(job / "lock"), fcntl.LOCK_EX)
    assert running is not None
    assert agent.state(str(job)) == {"state": "running"}
    os.close(running)


@pytest.fixture
def begun(job: Path, tmp_path: Path) -> Path:
    """A job whose start was asked for: its program ends at once, with exit code 5."""
    python = tmp_path / "envs" / "key" / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 5\n")
    python.chmod(0o755)
    (job / "job.json").write_text('{"words": [], "settings": {}}')
    (job / "pid").unlink()
    return job


def supervised(job: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, agent.__file__, "supervise", job])


def test_a_look_does_not_keep_a_run_from_its_start(begun: Path) -> None:
    looking = agent.hold(str(begun / "lock"), fcntl.LOCK_SH)
    assert looking is not None
    with supervised(begun) as parent:
        time.sleep(0.3)
        os.close(looking)
        assert parent.wait(60) == 0
    assert agent.state(str(begun)) == {"state": "ended", "code": 5}


def test_a_run_is_not_started_beside_itself(begun: Path) -> None:
    running = agent.hold(str(begun / "lock"), fcntl.LOCK_EX)
    assert running is not None
    with supervised(begun) as parent:
        assert parent.wait(60) == 0
    assert not (begun / "pid").exists()
    os.close(running)
