"""The decision table, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from harness.judge import Seen, judge
from harness.model import Device, Exit, MemoryEvent, MemoryKind, Status

CPU = {"device": {"kind": "cpu", "name": "some processor"}}
GPU = {"device": {"kind": "gpu", "name": "some card"}}
BOTH = {"train": CPU, "infer": CPU}

RECOVERABLE = MemoryEvent(
    MemoryKind.RECOVERABLE, "bfc-recoverable", "Allocator (GPU_0_bfc) …", "GPU_0_bfc", 3 << 30
)
HARD = MemoryEvent(MemoryKind.HARD, "bfc-hard", "Allocator (x) ran out …", "x", 800 << 20)
HOST = MemoryEvent(MemoryKind.HOST, "bad-alloc", "std::bad_alloc")


def seen(code: int | None, timing: dict[str, Any], *events: MemoryEvent, **more: Any) -> Seen:
    missing = tuple(phase for phase in ("train", "infer") if phase not in timing)
    more.setdefault("asked", Device(kind="cpu"))
    more.setdefault("exit", Exit(code=code))
    more.setdefault("pressure_events", len(events))
    return Seen(timing=timing, missing=missing, memory_events=events, **more)


KILLED = {"exit": Exit(code=137, oom_killed=True), "memory_limit": 600 << 20}
ROWS = {
    "all went well": (seen(0, BOTH), Status.OK, ""),
    "recoverable, completed": (seen(0, BOTH, RECOVERABLE), Status.PRESSURE, "3.00 GiB asked for"),
    "hard but caught, completed": (seen(0, BOTH, RECOVERABLE, HARD), Status.PRESSURE, "2 times"),
    "hard and ended by it": (seen(1, {}, HARD), Status.OOM, "800.00 MiB asked for"),
    "hard in the second phase": (seen(1, {"train": CPU}, HARD), Status.OOM, "ran out"),
    "the host's allocator": (seen(134, {}, HOST), Status.OOM_HOST, "bad_alloc"),
    "the container's limit": (seen(137, {}, **KILLED), Status.OOM_HOST, "limit of 600.00 MiB"),
    "a child died at the limit, yet it completed": (
        seen(0, BOTH, exit=Exit(code=0, oom_killed=True)),
        Status.OK,
        "",
    ),
    "killed by someone unknown": (seen(137, {}), Status.FAILED, "137 (signal 9)"),
    "our time-out": (
        seen(143, {}, killed_as=Status.TIMEOUT, exit=Exit(code=143, killed_because="over it")),
        Status.TIMEOUT,
        "over it",
    ),
    "no sign of life": (
        seen(143, {}, HARD, killed_as=Status.STALLED, exit=Exit(code=143, killed_because="idle")),
        Status.STALLED,
        "idle",
    ),
    "the user": (seen(143, {}, killed_as=Status.INTERRUPTED), Status.INTERRUPTED, "by the user"),
    "another crash after recoverable events": (
        seen(1, {}, RECOVERABLE, last_line="ValueError: no"),
        Status.FAILED,
        "ValueError: no",
    ),
    "a later phase ended by a signal": (
        seen(139, {"train": CPU}),
        Status.FAILED,
        "139 (signal 11); train had finished",
    ),
    "no figures and exit 0": (seen(0, {}), Status.FAILED, "left no figures of train and infer"),
    "the user, and the engine failed while stopping": (
        seen(None, {}, killed_as=Status.INTERRUPTED, trouble="engine gone"),
        Status.INTERRUPTED,
        "by the user",
    ),
    "the engine failed": (seen(None, {}, trouble="engine gone"), Status.INFRA, "engine gone"),
    "a GPU asked for, the CPU computed": (
        seen(0, BOTH, asked=Device(kind="gpu", name="RTX", uuid="GPU-1")),
        Status.FAILED,
        "asked for the GPU RTX, but train computed on some processor",
    ),
    "only one phase on the GPU": (
        seen(0, {"train": GPU, "infer": CPU}, asked=Device(kind="gpu", name="RTX", uuid="GPU-1")),
        Status.FAILED,
        "but infer computed on some processor",
    ),
    "a GPU asked for and used": (
        seen(0, {"train": GPU, "infer": GPU}, asked=Device(kind="gpu", uuid="GPU-1")),
        Status.OK,
        "",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_decision_table(row: tuple[Seen, Status, str]) -> None:
    what, status, words = row
    verdict = judge(what)
    assert verdict[0] is status
    assert words in verdict[1]
    assert bool(verdict[1]) == (status is not Status.OK)
