"""The decision table, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from harness.judge import NOT_THE_CASES_FAULT, REMEDIES, TABLE, Seen, judge
from harness.model import Device, Exit, MemoryEvent, MemoryKind, ResourceEvent, Status
from harness.probes.rules import rules

CPU = {"device": {"kind": "cpu", "name": "some processor"}}
GPU = {"device": {"kind": "gpu", "name": "some card"}}
BOTH = {"train": CPU, "infer": CPU}

RECOVERABLE = MemoryEvent(
    MemoryKind.RECOVERABLE, "bfc-recoverable", "Allocator (GPU_0_bfc) …", "GPU_0_bfc", 3 << 30
)
HARD = MemoryEvent(MemoryKind.HARD, "bfc-hard", "Allocator (x) ran out …", "x", 800 << 20)
HOST = MemoryEvent(MemoryKind.HOST, "bad-alloc", "std::bad_alloc")
KERNEL = MemoryEvent(MemoryKind.HOST, "kernel-kill", "Out of memory: Killed process 4711 (python3)")
UNCERTAIN = MemoryEvent(
    MemoryKind.UNCERTAIN, "blas-dnn-alloc", "CUBLAS_STATUS_ALLOC_FAILED", "CUBLAS"
)
NOTICE = MemoryEvent(MemoryKind.NOTICE, "tf-large-allocation", "Allocation of …", None, 1 << 30)
UNNAMED = MemoryEvent(MemoryKind.HARD, "xla-device", "Out of memory while …", None, 1 << 30, True)
DISK = ResourceEvent("disk", "disk-full", "OSError: [Errno 28] No space left on device")
TOO_OLD = ResourceEvent("driver", "driver-insufficient", "the driver is too old")
NO_GPU = ResourceEvent("gpu-not-seen", "no-cuda-device", "Could not find cuda drivers", hint=True)
ON_GPU = Device(kind="gpu", name="RTX", uuid="GPU-1")


def seen(code: int | None, timing: dict[str, Any], *events: MemoryEvent, **more: Any) -> Seen:
    missing = tuple(phase for phase in ("train", "infer") if phase not in timing)
    more.setdefault("asked", Device(kind="cpu"))
    more.setdefault("exit", Exit(code=code))
    more.setdefault("pressure_events", sum(event.ran_short for event in events))
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
    "killed by someone unknown, after a refusal": (
        seen(137, {}, HARD),
        Status.FAILED,
        "an allocator had run short once; someone unknown ended it",
    ),
    "killed by someone unknown, the host's memory short": (
        seen(137, {}, HOST),
        Status.FAILED,
        "someone unknown ended it; the host's memory had been short: std::bad_alloc",
    ),
    "killed by the kernel, which says so": (
        seen(137, {}, KERNEL),
        Status.OOM_HOST,
        "Killed process 4711",
    ),
    "killed by someone unknown, after a kill of the kernel's that it survived": (
        seen(137, {}, KERNEL, HARD),
        Status.FAILED,
        "someone unknown ended it",
    ),
    "only notices": (seen(0, BOTH, NOTICE), Status.OK, ""),
    "notices, then a failure": (seen(1, {}, NOTICE), Status.FAILED, "exit code 1"),
    "suspicions, completed": (seen(0, BOTH, UNCERTAIN), Status.OK, ""),
    "suspicions, failed": (seen(1, {}, UNCERTAIN), Status.OOM, "CUBLAS_STATUS_ALLOC_FAILED"),
    "a refusal weighs more than a suspicion": (
        seen(1, {}, HARD, UNCERTAIN),
        Status.OOM,
        "800.00 MiB asked for",
    ),
    "the last refusal decides": (seen(1, {}, HARD, HOST), Status.OOM_HOST, "bad_alloc"),
    "the last refusal decides, the other way": (
        seen(1, {}, HOST, HARD),
        Status.OOM,
        "800.00 MiB asked for",
    ),
    "a host's refusal that was caught": (seen(0, BOTH, HOST), Status.PRESSURE, "ran short once"),
    "an allocator without a name, on a GPU": (
        seen(1, {}, UNNAMED, asked=ON_GPU),
        Status.OOM,
        "1.00 GiB asked for",
    ),
    "an allocator without a name, on a CPU": (
        seen(1, {}, UNNAMED),
        Status.OOM_HOST,
        "1.00 GiB asked for",
    ),
    "the same, after a pool that is named": (seen(1, {}, HARD, UNNAMED), Status.OOM, "800.00 MiB"),
    "another error after a refusal": (
        seen(1, {}, HARD, other_error="ValueError: no"),
        Status.FAILED,
        "an allocator had run short once: ValueError: no",
    ),
    "another error after a suspicion": (
        seen(1, {}, UNCERTAIN, other_error="ValueError: no"),
        Status.FAILED,
        "exit code 1: ValueError: no",
    ),
    "an error that was survived": (
        seen(0, BOTH, HARD, other_error="ValueError: no"),
        Status.PRESSURE,
        "once",
    ),
    "a segmentation fault after a refusal": (seen(139, {}, HARD), Status.OOM, "800.00 MiB"),
    "a segmentation fault after a suspicion": (
        seen(139, {}, UNCERTAIN),
        Status.FAILED,
        "(signal 11)",
    ),
    "a segmentation fault after another resource": (
        seen(139, {}, resource=TOO_OLD),
        Status.FAILED,
        "the driver is too old",
    ),
    "aborted after a refusal": (seen(134, {}, HARD), Status.OOM, "800.00 MiB asked for"),
    "a bus error": (seen(135, {}), Status.FAILED, "give the container a larger /dev/shm"),
    "disk full": (seen(1, {}, resource=DISK), Status.INFRA, "device; free some space"),
    "disk full, and a refusal before": (seen(1, {}, HARD, resource=DISK), Status.INFRA, "Errno 28"),
    "disk full, and it went on": (seen(0, BOTH, resource=DISK), Status.OK, ""),
    "another resource": (
        seen(1, {}, resource=TOO_OLD),
        Status.FAILED,
        "the driver is too old; update the GPU's driver",
    ),
    "no GPU seen, and one was asked for": (
        seen(1, {}, hint=NO_GPU, asked=ON_GPU),
        Status.FAILED,
        "Could not find cuda drivers; see whether nvidia-smi works here",
    ),
    "no GPU seen, and none was asked for": (seen(1, {}, hint=NO_GPU), Status.FAILED, "exit code 1"),
    "a refusal weighs more than a hint": (
        seen(1, {}, HARD, hint=NO_GPU, asked=ON_GPU),
        Status.OOM,
        "800.00 MiB",
    ),
    "the engine refuses, and says why": (
        seen(None, {}, trouble="the engine says no", resource=TOO_OLD),
        Status.INFRA,
        "the engine says no; update the GPU's driver",
    ),
    "a refusal, no figures and exit 0": (seen(0, {}, HARD), Status.FAILED, "left no figures"),
    "killed at the limit, and it says 0": (
        seen(0, {}, exit=Exit(code=0, oom_killed=True)),
        Status.OOM_HOST,
        "memory limit",
    ),
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


def test_every_row_of_the_table_is_tested() -> None:
    first = {
        next(n for n, row in enumerate(TABLE) if row.applies(what)) for what, *_ in ROWS.values()
    }
    assert first == set(range(len(TABLE)))


def test_the_resource_is_named_where_it_is_to_blame() -> None:
    assert judge(seen(1, {}, resource=DISK)).resource == "disk"
    assert judge(seen(135, {})).resource == "shared-memory"
    assert judge(seen(0, BOTH, asked=ON_GPU)).resource == "gpu-not-seen"
    assert judge(seen(None, {}, trouble="no", resource=TOO_OLD)).resource == "driver"
    assert judge(seen(1, {}, HARD)).resource is None
    assert judge(seen(0, BOTH, resource=DISK)).resource is None


def test_every_resource_of_the_rules_has_a_remedy() -> None:
    assert {rule.resource for rule in rules() if rule.resource} == set(REMEDIES)
    assert set(NOT_THE_CASES_FAULT) <= set(REMEDIES)
