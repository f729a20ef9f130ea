"""What a machine answers to the first look, and each shortage as one error."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import __version__
from harness.errors import MachineError
from harness.remote import agent, parse_address
from harness.remote.options import RunOptions
from harness.remote.probing import judge, require_room
from harness.remote.sources import agent_source

ADDRESS = parse_address("ssh://gpu1")
GOOD: dict[str, Any] = {
    "python": [3, 11, 2],
    "executable": "/usr/bin/python3",
    "time": 0.0,
    "place": "/home/me/.cache/dl-feasibility-harness",
    "writable": "",
    "free": 1 << 30,
    "venv": True,
    "pip": True,
    "python3": "/usr/bin/python3",
    "other": None,
    "engine": None,
    "salt": False,
}


@pytest.mark.parametrize(
    ("change", "said", "step"),
    [
        ({"python": [3, 8, 10]}, "has Python 3.8.10", "3.10"),
        ({"writable": "Read-only file system"}, "Read-only file system", "ssh://host/folder"),
        ({"venv": False, "pip": False}, "without venv and pip", "python3-venv"),
    ],
)
def test_a_shortage_is_one_error_with_its_next_step(
    change: dict[str, Any], said: str, step: str
) -> None:
    with pytest.raises(MachineError) as caught:
        judge(ADDRESS, {**GOOD, **change}, 0.0)
    assert said in caught.value.message
    assert "ssh://gpu1" in caught.value.message
    assert step in caught.value.next_step


def test_pip_alone_will_do_for_debian_without_python3_venv() -> None:
    assert judge(ADDRESS, {**GOOD, "venv": False}, 0.0).version == "3.11.2"


def test_room_is_asked_for_what_is_sent() -> None:
    found = judge(ADDRESS, GOOD, 0.0)
    require_room(ADDRESS, found, 1 << 30)
    with pytest.raises(MachineError, match=r"has 1\.00 GiB free") as caught:
        require_room(ADDRESS, found, (1 << 30) + 1)
    assert "another disk" in caught.value.next_step


@pytest.mark.parametrize(
    ("skew", "notes"),
    [
        (0.0, 0),
        (5.0, 0),
        (-5.0, 0),
        (62.0, "62 s ahead of"),
        (-3600.0, "3600 s behind"),
    ],
)
def test_clocks_that_differ_are_noted(skew: float, notes: int | str) -> None:
    found = judge(ADDRESS, GOOD, skew).notes
    if notes == 0:
        assert found == ()
    else:
        assert str(notes) in found[0]


def test_another_harness_is_noted() -> None:
    assert judge(ADDRESS, {**GOOD, "other": __version__}, 0.0).notes == ()
    (note,) = judge(ADDRESS, {**GOOD, "other": "9.9"}, 0.0).notes
    assert "harness 9.9 is installed there" in note


def test_the_agent_needs_nothing_but_an_old_python() -> None:
    tree = ast.parse(agent_source(), feature_version=(3, 8))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= set(sys.stdlib_module_names)


def test_the_agent_answers_from_standard_input(tmp_path: Path) -> None:
    line = [sys.executable, "-", "probe", str(tmp_path)]
    said = subprocess.run(line, input=agent_source(), capture_output=True, check=True)
    (answer,) = [text for text in said.stdout.decode().splitlines() if text.startswith(agent.MARK)]
    found = judge(ADDRESS, json.loads(answer[len(agent.MARK) :]), 0.0)
    assert found.place == f"{tmp_path}/dl-feasibility-harness"
    assert list(tmp_path.iterdir()) == []  # it leaves nothing


def test_an_environment_leaves_nothing_in_pip_s_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[list[str]] = []
    monkeypatch.setattr(agent, "run", lines.append)
    agent.make_environment(str(tmp_path), "a.whl")
    assert "--no-cache-dir" in lines[-1]


def test_options_go_as_they_are_and_folders_stay_here() -> None:
    options = RunOptions(gpu="0", only=("model=a b", "batch_size=-1"), strict=True, budget="60s")
    words = options.words()
    assert {"--gpu=0", "--only=model=a b", "--only=batch_size=-1", "--strict"} <= set(words)
    assert not [word for word in words if word.startswith(("--python", "--parallel", "--results"))]


@pytest.mark.parametrize(
    ("options", "engine", "runtime", "python"),
    [
        (RunOptions(), "/var/run/docker.sock", "auto", None),
        (RunOptions(), None, "local", "/usr/bin/python3"),
        (RunOptions(runtime="local"), "/var/run/docker.sock", "local", "/usr/bin/python3"),
        (RunOptions(runtime="docker"), None, "docker", None),
        (RunOptions(python="/opt/conda/bin/python"), None, "auto", "/opt/conda/bin/python"),
    ],
)
def test_without_an_engine_the_machine_s_own_python_runs_the_cases(
    options: RunOptions, engine: str | None, runtime: str, python: str | None
) -> None:
    found = options.for_machine(engine, "/usr/bin/python3")
    assert (found.runtime, found.python) == (runtime, python)
