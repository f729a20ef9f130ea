"""What a trial's findings are worth: the lines of harness images check."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.images import trial
from harness.images.check import RELAXATIONS
from harness.images.findings import Line, lines, works
from harness.images.trial import Trial

GOOD: dict[str, Any] = {
    "device": {"kind": "cpu", "name": "a processor"},
    "versions": {"framework": "2.17.0", "keras": "3.3.2"},
    "peak_device_bytes": None,
    "peak_host_bytes": 1 << 28,
    "seconds": 4.2,
}
GPU = {**GOOD, "device": {"kind": "gpu", "name": "a GPU"}, "peak_device_bytes": 1 << 20}
NONE = {"tensorflow": None, "jax": None, "torch": None}


def found(**changes: Any) -> Trial:
    told = {
        "python": "3.11.2",
        "uid": 1000,
        "gid": 1000,
        "writes": {"/tmp": None, "home": None, "out": None, "root": "Read-only file system"},
        "numpy": {"said": "1.26.4"},
        "frameworks": {**NONE, "tensorflow": GOOD},
    }
    return Trial(code=0, found={**told, **changes})


def wrong(tried: Trial, device: str = "cpu", wanted: str | None = None) -> list[str]:
    return [line.what for line in lines(tried, [], device, wanted) if line.ok is False]


def test_an_image_that_has_everything() -> None:
    told = lines(found(), [], "cpu", "tensorflow")
    assert works(told)
    assert Line("tensorflow", True, "2.17.0, Keras 3.3.2, up in 4 s") in told
    assert Line("write /", None, "no (Read-only file system)") in told
    assert Line("tensorflow memory", None, "of the process: 256.00 MiB at most so far") in told


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"python": "3.7.9"}, ["python"]),
        ({"numpy": {"error": "No module named 'numpy'"}}, ["numpy"]),
        ({"frameworks": NONE}, ["framework"]),
        ({"frameworks": {**NONE, "jax": {"error": "no Keras"}}}, ["jax"]),
        ({"writes": {"/tmp": None, "home": None, "out": "denied", "root": None}}, ["write out"]),
    ],
)
def test_each_lack_is_told(changes: dict[str, Any], lacks: list[str]) -> None:
    assert wrong(found(**changes)) == lacks


def test_the_framework_that_is_wanted_is_the_one_that_counts() -> None:
    beside = found(frameworks={**NONE, "tensorflow": GOOD, "torch": {"error": "broken"}})
    assert wrong(beside) == []
    assert wrong(beside, wanted="tensorflow") == []
    assert wrong(beside, wanted="torch") == ["torch"]
    assert wrong(beside, wanted="jax") == ["framework"]


def test_the_memory_of_a_framework_beside_the_wanted_one_is_only_told() -> None:
    silent = {**GPU, "peak_device_bytes": None}
    beside = found(frameworks={**NONE, "tensorflow": GPU, "jax": silent})
    assert wrong(beside, "gpu", "tensorflow") == []
    assert wrong(beside, "gpu", "jax") == ["jax memory"]


def test_relaxed_privileges_leave_selinux_labels_off() -> None:
    strict = {"security_opt": ["no-new-privileges", "label=disable"]}
    relaxed = dict(RELAXATIONS)["with Docker's own capabilities"](strict)
    assert relaxed == {"cap_drop": [], "security_opt": ["label=disable"]}


def test_a_gpu_that_the_framework_does_not_use() -> None:
    assert wrong(found(frameworks={**NONE, "jax": GPU}), "gpu") == []
    silent = {**GPU, "peak_device_bytes": None}
    assert wrong(found(frameworks={**NONE, "jax": silent}), "gpu") == ["jax memory"]
    assert wrong(found(), "gpu", "tensorflow") == ["tensorflow device", "tensorflow memory"]


@pytest.mark.parametrize(
    ("tried", "why"),
    [
        (Trial(refused='exec: "python3": not found'), 'the engine: exec: "python3": not found'),
        (
            Trial(code=9, output="a\nmust be root"),
            "python3 was not reached, exit code 9: must be root",
        ),
        (
            Trial(code=None, output=""),
            "python3 was not reached, it did not end: nothing was printed",
        ),
    ],
)
def test_why_nothing_was_found(tried: Trial, why: str) -> None:
    first, entrypoint = lines(tried, ["/entry.sh"], "cpu", None)
    assert first == Line("start", False, why)
    assert entrypoint.detail.startswith("/entry.sh; prints ")


def test_what_the_entrypoint_says_is_what_came_before_the_probe() -> None:
    tried = Trial(code=0, before="=== Banner\nmore", output="=== Banner\nmore", found=found().found)
    assert lines(tried, ["/entry.sh"], "cpu", None)[1].detail == (
        "/entry.sh; prints 2 lines, first: === Banner"
    )


@pytest.mark.parametrize("path", sorted(trial.PROBE.glob("*.py")), ids=lambda path: path.name)
def test_the_probe_is_standard_library_and_python_3_8(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
    named = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert named <= set(sys.stdlib_module_names)
