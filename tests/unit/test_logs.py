from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import MemoryEvent, MemoryKind, ResourceEvent
from harness.probes import suspects
from harness.probes.document import document
from harness.probes.findings import MAX_KEPT, Findings
from harness.probes.logs import MAX_LINE, LogEvent, LogWatcher, WorkloadEvent, classify
from harness.probes.reading import OtherError, parse_size
from harness.probes.rules import MEMORY_KINDS, OTHER_KINDS, Rule, rules
from harness.workload.contract import event_line
from tests.conftest import ROOT

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
    b"Can't reduce memory use below 2.58GiB by rematerialization; only reduced to 31.49GiB",
    b"",
)
NOTICE = b"Allocation of 1073741824 exceeds 10% of free system memory."
RUNTIME = b"RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x512 and 256x10)"
DISK = b"OSError: [Errno 28] No space left on device"
OTHER = b"ValueError: no"
CHAIN = b"During handling of the above exception, another exception occurred:"


def feed(*chunks: bytes) -> list[LogEvent]:
    watcher = LogWatcher()
    return [*chain.from_iterable(map(watcher.feed, chunks)), *watcher.close()]


def findings(*lines: bytes) -> Findings:
    found = Findings()
    for event in feed(b"\n".join(lines)):
        found.take(event)
    return found


def memory(line: bytes) -> MemoryEvent:
    (event,) = classify(line)
    assert isinstance(event, MemoryEvent)
    return event


# ------------------------------------------------------------------ the rules


def _examples(side: str) -> list[object]:
    return [
        pytest.param(rule, text, id=f"{rule.id}-{number}")
        for rule in rules()
        for number, text in enumerate(getattr(rule, side))
    ]


@pytest.mark.parametrize(("rule", "text"), _examples("hits"))
def test_a_rule_finds_its_examples(rule: Rule, text: str) -> None:
    """In the middle of other lines, and by the whole way through the watcher."""
    events = feed(b"before\n" + text.encode() + b"\nbehind\n")
    if rule.kind == "harmless":
        assert events == []
        return
    (event,) = events
    assert getattr(event, "rule", rule.id) == rule.id
    assert getattr(event, "offset", 7) == 7
    assert getattr(event, "line", text.strip()) == text.strip()


@pytest.mark.parametrize(("rule", "text"), _examples("misses"))
def test_a_rule_leaves_its_near_misses_alone(rule: Rule, text: str) -> None:
    assert not [event for event in classify(text.encode()) if not isinstance(event, OtherError)]


def test_rules_are_well_formed() -> None:
    ids = [rule.id for rule in rules()]
    assert len(ids) == len(set(ids))
    for rule in rules():
        assert rule.kind in MEMORY_KINDS + OTHER_KINDS
        assert rule.source
        assert rule.hits
        assert (rule.kind == "resource") == (rule.resource is not None)
        assert all(set(needle) & set(suspects.ANCHORS) for needle in rule.needles)


def test_the_page_of_messages_is_that_of_the_rules() -> None:
    page = (ROOT / "docs" / "memory-messages.md").read_text("utf-8")
    assert page == document(), "python -m harness.probes.document > docs/memory-messages.md"


# ------------------------------------------------------------------ what an event tells


def test_the_studys_warning_is_pressure_and_its_size_is_read() -> None:
    event = memory(RECOVERABLE)
    assert event.kind is MemoryKind.RECOVERABLE
    assert event.allocator == "GPU_0_bfc"
    assert event.requested_bytes == round(3.42 * 2**30)
    assert event.severity == "W"


@pytest.mark.parametrize("line", [HARD, HARD_ABSL])
def test_the_hard_failure_is_told_from_the_recoverable_one(line: bytes) -> None:
    event = memory(line)
    assert event.kind is MemoryKind.HARD
    assert event.requested_bytes == 838860800
    assert (event.op, event.severity) == ("Fill", "W")


def test_the_failed_tensor_tells_its_shape_and_size() -> None:
    event = memory(OOM_TENSOR + b" [Op:Fill] name: ")
    assert event.shape == (200, 1024, 1024)
    assert event.requested_bytes == 838860800
    assert event.op == "Fill"
    assert event.echo


@pytest.mark.parametrize(
    ("allocator", "kind"),
    [
        ("GPU_0_bfc", MemoryKind.HARD),
        ("bfc_cpu_allocator_for_gpu", MemoryKind.HARD),  # a pool whose size was chosen
        ("cpu", MemoryKind.HOST),
        ("mklcpu", MemoryKind.HOST),
        ("gpu_host_bfc", MemoryKind.HOST),
        ("xla_gpu_host_bfc", MemoryKind.HOST),
    ],
)
def test_the_allocator_tells_whose_memory_it_is(allocator: str, kind: MemoryKind) -> None:
    for line in (OOM_TENSOR, HARD):
        assert memory(line.replace(b"bfc_cpu_allocator_for_gpu", allocator.encode())).kind is kind


def test_a_decimal_comma_is_read() -> None:
    assert memory(RECOVERABLE.replace(b"3.42GiB", b"3,42GiB")) == replace(
        memory(RECOVERABLE), line=RECOVERABLE.decode().replace("3.42", "3,42")
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("3.42GiB", 3672197038),
        ("4,52GiB", 4853313044),
        ("512B", 512),
        ("800.00MiB", 838860800),
        ("2.12G", 2276332667),
        ("72.8 TiB", 80044446502093),
    ],
)
def test_sizes_as_allocators_print_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("line", HEALTHY)
def test_a_healthy_log_says_nothing(line: bytes) -> None:
    assert classify(line) == []


# ------------------------------------------------------------------ streams as they are


def test_colours_and_zero_bytes_do_not_hide_a_message_nor_shift_its_place() -> None:
    noisy = (
        b"\x1b[1mstep\x1b[0m\n" + b"\x00\x1b[33m" + HARD.replace(b"memory", b"\x1b[31mmem\x00ory")
    )
    (event,) = feed(noisy + b"\x1b[0m\n")
    assert event == replace(memory(HARD), offset=noisy.index(b"\n") + 1)


def test_a_progress_bar_before_a_message_is_a_line_of_its_own() -> None:
    (event,) = feed(b"\r12/938 [>...]\r13/938 [>...]\r" + HARD + b"\r\n")
    assert isinstance(event, MemoryEvent)
    assert event.line == HARD.decode()


def test_two_processes_may_write_into_one_line() -> None:
    events = feed(RECOVERABLE + RECOVERABLE.replace(b"3.42", b"1.42") + b"\n")
    assert [event.requested_bytes for event in events if isinstance(event, MemoryEvent)] == [
        round(3.42 * 2**30),
        round(1.42 * 2**30),
    ]


def test_invalid_utf_8_is_shown_and_not_refused() -> None:
    assert memory(b"\xff\xfe " + HARD).line.startswith("\ufffd\ufffd 2026")


def test_what_is_quoted_cannot_move_a_terminals_cursor_and_is_short() -> None:
    event = memory(b"z" * 5000 + b"\x08\x9b2J \t" + HARD + b" " + b"z" * 5000)
    assert event.line.isprintable()
    assert len(event.line) <= 1000
    assert "ran out of memory trying to allocate 800.00MiB" in event.line


def test_a_line_of_ten_megabytes_is_bounded_and_hides_nothing() -> None:
    watcher = LogWatcher()
    found = []
    for _ in range(160):
        found += watcher.feed(b"x" * 65536)
        assert len(watcher._pending) < MAX_LINE
    found += watcher.feed(HARD + b"\n" + HARD)
    found += watcher.close()
    assert [event.offset for event in found if isinstance(event, MemoryEvent)] == [
        160 * 65536,
        160 * 65536 + len(HARD) + 1,
    ]


def test_the_last_line_that_says_something_is_kept_for_the_reason() -> None:
    watcher = LogWatcher()
    list(watcher.feed(b"ValueError: no\n" + event_line({"event": "done"}).encode() + b"\n  \n"))
    assert watcher.last_line == "ValueError: no"


def test_events_of_the_workload_come_through() -> None:
    event = {"event": "progress", "step": 3}
    assert feed(event_line(event).encode() + b"\r\n") == [WorkloadEvent(event)]
    assert feed(b":::harness {broken\n") == []
    assert feed(b":::harness " + b"[" * 10_000 + b"\n") == []
    assert feed(b"said :::harness " + event_line(event).encode()) == []


# ------------------------------------------------------------------ any bytes, in any cut

_PIECES = st.sampled_from(
    [
        RECOVERABLE, HARD, HARD_ABSL, OOM_TENSOR, NOTICE, DISK, OTHER, RUNTIME, CHAIN, *HEALTHY,
        b"\xff\x00\xfe", b":::harness 1", event_line({"event": "x"}).encode(), b"\r", b"\x1b[3",
        b"\x1b[33mgreen", b"y" * (MAX_LINE - 100), b"z" * (2 * MAX_LINE + 7),
    ]
)  # fmt: skip


@given(st.lists(_PIECES), st.lists(st.integers(1, 20_000)), st.sampled_from([b"", b"\n", b"\r\n"]))
def test_any_cut_gives_the_same_events(lines: list[bytes], cuts: list[int], joint: bytes) -> None:
    text = joint.join(lines)
    chunks, rest = [], text
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    whole = feed(text)
    assert feed(*chunks, rest) == whole
    assert feed(text + b"\n") == whole


@given(
    st.lists(
        st.sampled_from([b"\n", b"\r", b"\x1b", b"\x1b[", b"\0", b"m", HARD, b" "]) | st.binary()
    )
)
def test_any_bytes_are_taken_and_each_alone_gives_the_same(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    assert feed(*(text[i : i + 1] for i in range(len(text)))) == feed(text)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_any_event_survives_its_line(fields: dict[str, object]) -> None:
    event = {**fields, "event": "x"}
    assert feed(event_line(event).encode()) == [WorkloadEvent(json.loads(json.dumps(event)))]


# ------------------------------------------------------------------ what is kept


def test_a_dump_and_the_error_behind_it_are_one_event_of_pressure() -> None:
    found = findings(HARD, b"Current allocation summary follows.", *HEALTHY, OOM_TENSOR, OOM_TENSOR)
    assert found.pressure_events == 1
    assert found.largest_request == 838860800


def test_an_error_that_is_only_told_again_counts_once() -> None:
    assert findings(OOM_TENSOR, OOM_TENSOR).pressure_events == 1


def test_notices_and_suspicions_are_no_pressure() -> None:
    growth = b"failed to allocate 2.12G (2276589568 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY"
    found = findings(NOTICE, growth)
    assert [event.kind.value for event in found.memory_events] == ["notice", "uncertain"]
    assert (found.pressure_events, found.largest_request) == (0, None)


def test_a_flood_keeps_the_last_of_each_kind_and_the_largest() -> None:
    found = findings(HARD, *[RECOVERABLE] * 10 * MAX_KEPT, RECOVERABLE.replace(b"3.42", b"0.42"))
    assert found.pressure_events == 10 * MAX_KEPT + 2
    assert len(found.memory_events) == MAX_KEPT + 2
    assert found.left_out == 10 * MAX_KEPT - MAX_KEPT
    assert found.memory_events[0].kind is MemoryKind.HARD
    assert found.largest_request == round(3.42 * 2**30)


def test_the_last_word_decides_between_memory_another_resource_and_another_error() -> None:
    assert findings(HARD, OTHER).other_error == OTHER.decode()
    assert findings(OTHER, HARD).other_error is None
    assert findings(OTHER, RECOVERABLE).other_error == OTHER.decode()
    assert findings(OTHER, DISK).other_error is None
    assert findings(DISK, OTHER).other_error == OTHER.decode()
    assert findings(DISK, HARD).resource is None
    found = findings(HARD, DISK).resource
    assert isinstance(found, ResourceEvent)
    assert found.resource == "disk"


def test_an_error_that_follows_from_another_is_not_the_cause() -> None:
    ignored = b"Exception ignored in: <function AtomicFunction.__del__ at 0x7f>"
    assert findings(HARD, CHAIN, OTHER).other_error is None
    assert (
        findings(HARD, ignored, b"TypeError: 'NoneType' object is not subscriptable").other_error
        is None
    )
    assert findings(HARD, OTHER, CHAIN, b"KeyError: 1").other_error == OTHER.decode()


def test_an_error_of_a_class_that_allocators_raise_too_counts_after_a_refusal_only() -> None:
    growth = b"failed to allocate 2.12G (2276589568 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY"
    for refusal in (HARD, growth, b"MemoryError"):
        assert findings(refusal, RUNTIME).other_error == RUNTIME.decode()
        assert findings(refusal, RUNTIME, refusal).other_error is None
        assert findings(refusal, CHAIN, RUNTIME).other_error is None
    assert findings(RUNTIME).other_error is None
    assert findings(RECOVERABLE, RUNTIME).other_error is None
    assert findings(HARD, DISK, RUNTIME).other_error is None
    assert findings(DISK, growth, RUNTIME).other_error is None


def test_an_error_that_passes_on_another_leaves_the_last_word_to_it() -> None:
    passed = b"RuntimeError: Caught RuntimeError in replica 0 on device 0."
    assert findings(HARD, passed).other_error is None
    assert findings(HARD, OTHER, passed).other_error == OTHER.decode()
    assert findings(HARD, CHAIN, passed, RUNTIME).other_error == RUNTIME.decode()
