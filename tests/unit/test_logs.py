from __future__ import annotations

import json
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import MemoryEvent, MemoryKind
from harness.probes.logs import MAX_LINE, LogWatcher, WorkloadEvent, classify, parse_size
from harness.workload.contract import event_line

# The study's own warning, as TensorFlow 2.4 wrote it.
RECOVERABLE = (
    b"2021-05-12 10:00:00.000000: W tensorflow/core/common_runtime/bfc_allocator.cc:243] "
    b"Allocator (GPU_0_bfc) ran out of memory trying to allocate 3.42GiB with freed_by_count=0. "
    b"The caller indicates that this is not a failure, but may mean that there could be "
    b"performance gains if more memory were available."
)
HARD = (
    b"2026-11-23 12:54:53.807591: W external/local_tsl/tsl/framework/bfc_allocator.cc:485] "
    b"Allocator (bfc_cpu_allocator_for_gpu) ran out of memory trying to allocate 800.00MiB "
    b"(rounded to 838860800)requested by op Fill"
)
HARD_ABSL = (
    b"W0000 00:00:1795438795.894524   25460 bfc_allocator.cc:502] " + HARD.partition(b"] ")[2]
)
OOM_TENSOR = (
    b"W tensorflow/core/framework/op_kernel.cc:1839] OP_REQUIRES failed at constant_op.cc:176 : "
    b"RESOURCE_EXHAUSTED: OOM when allocating tensor with shape[200,1024,1024] and type float on "
    b"/job:localhost/replica:0/task:0/device:CPU:0 by allocator bfc_cpu_allocator_for_gpu"
)
HEALTHY = (
    b"I tensorflow/core/common_runtime/bfc_allocator.cc:1046] total_region_allocated_bytes_: 5",
    b"Allocator (GPU_0_bfc) has 12 chunks",
    b"print: my model ran out of memory once, says the user",
    b"/home/me/out of memory/train.py",
    b"Allocation of 1073741824 exceeds 10% of free system memory.",
    b"",
)


def _feed(*chunks: bytes) -> list[MemoryEvent | WorkloadEvent]:
    watcher = LogWatcher()
    return [*chain.from_iterable(map(watcher.feed, chunks)), *watcher.close()]


def test_the_studys_warning_is_pressure_and_its_size_is_read() -> None:
    (event,) = _feed(RECOVERABLE + b"\n")
    assert isinstance(event, MemoryEvent)
    assert event.kind is MemoryKind.RECOVERABLE
    assert event.allocator == "GPU_0_bfc"
    assert event.requested_bytes == round(3.42 * 2**30)


@pytest.mark.parametrize("line", [HARD, HARD_ABSL])
def test_the_hard_failure_is_told_from_the_recoverable_one(line: bytes) -> None:
    event = classify(line)
    assert isinstance(event, MemoryEvent)
    assert event.kind is MemoryKind.HARD
    assert event.requested_bytes == 838860800


def test_the_failed_tensor_is_hard_in_a_capped_pool_and_the_hosts_in_malloc() -> None:
    capped = classify(OOM_TENSOR)
    host = classify(OOM_TENSOR.replace(b"bfc_cpu_allocator_for_gpu", b"cpu"))
    assert isinstance(capped, MemoryEvent)
    assert isinstance(host, MemoryEvent)
    assert (capped.kind, host.kind) == (MemoryKind.HARD, MemoryKind.HOST)


@pytest.mark.parametrize("line", HEALTHY)
def test_a_healthy_log_says_nothing(line: bytes) -> None:
    assert classify(line) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [("3.42GiB", 3672197038), ("4,52GiB", 4853313044), ("512B", 512), ("800.00MiB", 838860800)],
)
def test_sizes_as_allocators_print_them(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_a_line_of_many_megabytes_is_bounded_and_does_not_hide_the_next() -> None:
    watcher = LogWatcher()
    found = []
    for _ in range(160):
        found += watcher.feed(b"x" * 65536)
        assert len(watcher._line) <= MAX_LINE
    found += watcher.feed(b"\n" + HARD + b"\n")
    assert [type(event) for event in found] == [MemoryEvent]


def test_the_last_line_that_says_something_is_kept_for_the_reason() -> None:
    watcher = LogWatcher()
    list(watcher.feed(b"ValueError: no\n" + event_line({"event": "done"}).encode() + b"\n  \n"))
    assert watcher.last_line == "ValueError: no"


def test_events_of_the_workload_come_through() -> None:
    event = {"event": "progress", "step": 3}
    assert _feed(event_line(event).encode() + b"\r\n") == [WorkloadEvent(event)]
    assert _feed(b":::harness {broken\n") == []


_PIECES = st.sampled_from(
    [RECOVERABLE, HARD, OOM_TENSOR, *HEALTHY, b"\xff\x00\xfe", b":::harness 1"]
)


@given(st.lists(_PIECES), st.lists(st.integers(1, 400)), st.booleans())
def test_any_cut_gives_the_same_events(lines: list[bytes], cuts: list[int], ended: bool) -> None:
    text = b"\n".join(lines) + (b"\n" if ended else b"")
    chunks, rest = [], text
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    assert _feed(*chunks, rest) == _feed(text)


@given(st.binary())
def test_any_bytes_are_taken(raw: bytes) -> None:
    _feed(raw)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_any_event_survives_its_line(fields: dict[str, object]) -> None:
    event = {**fields, "event": "x"}
    assert _feed(event_line(event).encode()) == [WorkloadEvent(json.loads(json.dumps(event)))]
