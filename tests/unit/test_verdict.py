"""The last word of a report: the decision table row by row, and the sentences it ends in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.analysis.feasibility import verdicts
from harness.analysis.pivot import Group
from harness.analysis.verdict import TABLE, Facts, Outcome, decide
from harness.catalog import protocols
from harness.model import Case, Device, Memory, Record, Status, Timing
from harness.report import render
from harness.report.verdict import first_clause, sentence
from tests.unit.comparing import MNIST, case, record, repeats, run_of

FEASIBLE, SMALLER, NOT, OPEN = Outcome


def some(*batches: int) -> frozenset[int]:
    return frozenset(batches)


ROWS: list[tuple[str, Facts, tuple[Outcome, int | None]]] = [
    ("as asked", Facts(64, completed=some(64)), (FEASIBLE, 64)),
    ("as asked", Facts(64, completed=some(64), short=some(64)), (FEASIBLE, 64)),
    ("as asked", Facts(64, completed=some(32, 64), short=some(96), fits=80), (FEASIBLE, 64)),
    ("as asked", Facts(64, completed=some(64), failed=True), (FEASIBLE, 64)),
    ("a larger batch ran", Facts(64, completed=some(128)), (FEASIBLE, 128)),
    ("a larger batch ran", Facts(64, completed=some(128), short=some(256)), (FEASIBLE, 128)),
    ("a larger batch ran", Facts(64, fits=64, short=some(80)), (FEASIBLE, 64)),
    ("a smaller batch ran", Facts(64, completed=some(16, 32), short=some(64)), (SMALLER, 32)),
    ("a smaller batch ran", Facts(64, fits=48, short=some(56, 64)), (SMALLER, 48)),
    ("a smaller batch ran", Facts(64, completed=some(16), fits=48, short=some(64)), (SMALLER, 48)),
    ("a smaller batch ran", Facts(64, completed=some(16), failed=True), (SMALLER, 16)),
    ("a smaller batch ran", Facts(64, completed=some(16)), (SMALLER, 16)),
    ("a smaller batch ran", Facts(64, completed=some(16, 48), short=some(32)), (SMALLER, 16)),
    ("contradiction", Facts(64, completed=some(48), short=some(32)), (OPEN, 32)),
    ("contradiction", Facts(64, completed=some(96), short=some(64)), (OPEN, 64)),
    ("out of memory", Facts(64, short=some(64)), (NOT, 64)),
    ("out of memory", Facts(64, short=some(1, 64), failed=True), (NOT, 1)),
    ("failed", Facts(64, failed=True), (NOT, None)),
    ("nothing is known", Facts(64), (OPEN, None)),
]


@pytest.mark.parametrize(("row", "facts", "decided"), ROWS)
def test_the_table(row: str, facts: Facts, decided: tuple[Outcome, int | None]) -> None:
    assert next(one for one in TABLE if one.applies(facts)).name == row
    assert decide(facts) == decided


def test_every_row_is_tried() -> None:
    assert {row for row, _, _ in ROWS} == {row.name for row in TABLE}


# ------------------------------------------------------------------ sentences

SEED = case()  # model A, batch 32, on the protocol seed
SMALL = case(batch_size=16, overrides={"batch_size": 16})
LARGE = case(batch_size=64, overrides={"batch_size": 64})
OOM = {"reason": "the allocator refused a request (800.00 MiB asked for); lower the batch"}


def said(*records: Record, cases: tuple[Case, ...] = (), machine: str = "") -> list[str]:
    known = cases or tuple({r.case_id: r.case for r in records}.values())
    return [sentence(v) for v in verdicts([Group(machine, known, records)], protocols())]


def test_feasible_with_the_hours_that_were_measured() -> None:
    assert said(*repeats(SEED, 3600.0, 3700.0, 3800.0)) == [
        "model-a on Some GPU: feasible at batch 32; seed takes 1 h 01 min on mnist (measured) "
        f"[{SEED.id}: 3 ok]"
    ]


def test_predicted_hours_are_marked_and_never_mixed_with_measured_ones() -> None:
    predicted = Timing(
        total_execution_s=7200.0,
        predicted=("total_execution_s",),
        intervals={"total_execution_s": (7000.0, 7400.0)},
    )
    quick = case(measure="quick")
    (told,) = said(record(quick, 1, 7200.0, timing=predicted))
    assert "seed takes ≈2 h 00 min on mnist (predicted, 1 h 56 min to 2 h 03 min)" in told
    (told,) = said(record(quick, 1, 7200.0, timing=predicted), record(SEED, 1, 3600.0))
    assert "seed takes 1 h 00 min on mnist (measured)" in told


def test_a_protocol_that_is_cut_short_says_nothing_of_hours() -> None:
    smoke = case(protocol="smoke", batch_size=64)
    (told,) = said(record(smoke, 1, 60.0))
    assert "feasible at batch 64; hours not measured at the full protocol (smoke is cut" in told


def test_each_dataset_has_its_hours() -> None:
    other = case(dataset="fashion-mnist")
    (told,) = said(record(SEED, 1, 3600.0), record(other, 1, 7200.0))
    assert "seed takes 1 h 00 min on mnist (measured), 2 h 00 min on fashion-mnist (mea" in told


def test_a_smaller_batch_that_runs_where_the_protocols_does_not() -> None:
    (told,) = said(record(SMALL, 1, 3600.0), record(SEED, 1, Status.OOM, **OOM))
    assert told == (
        "model-a on Some GPU: feasible with batch ≤ 16: batch 32 ended oom (the allocator refused "
        "a request (800.00 MiB asked for)); seed takes 1 h 00 min on mnist (measured) "
        f"[{SMALL.id}: 1 ok, {SEED.id}: 1 oom]"
    )


def test_the_largest_batch_of_a_fit() -> None:
    def probe(batch: int, ended: float | Status) -> Record:
        tried = case(batch_size=batch, overrides={"batch_size": batch})
        return record(tried, 1, ended, purpose="fit", **OOM)

    (told,) = said(probe(16, 1.0), probe(24, 1.0), probe(28, Status.OOM), probe(32, Status.OOM))
    assert told.startswith(
        "model-a on Some GPU: feasible with batch ≤ 24: batch 32 ended oom (the allocator refused "
        "a request (800.00 MiB asked for)); hours of seed not measured; "
        "harness fit: largest batch 24 (ok), 28 OOM [fit "
    )
    (told,) = said(probe(64, 1.0), probe(96, Status.OOM), record(SEED, 1, 3600.0))
    assert "feasible at batch 32; seed takes 1 h 00 min on mnist (measured); harness fit: " in told


def test_a_batch_beside_the_protocols_is_said_to_be_one() -> None:
    (told,) = said(record(SMALL, 1, 3600.0))
    assert "feasible with batch 16: the protocol's 32 was not measured; " in told
    (told,) = said(record(LARGE, 1, 3600.0))
    assert "feasible: batch 64 ran, the protocol's 32 was not measured; " in told
    (told,) = said(record(SMALL, 1, 3600.0), record(SEED, 1, Status.TIMEOUT, reason="over 1 h"))
    assert "feasible with batch 16, but batch 32 ended timeout (over 1 h); " in told


def test_only_failures_are_not_feasible_and_why() -> None:
    assert said(*repeats(SEED, Status.OOM, Status.OOM, **OOM)) == [
        "model-a on Some GPU: not feasible: batch 32 ended oom (the allocator refused a request "
        "(800.00 MiB asked for)); harness fit tells whether a smaller batch fits "
        f"[{SEED.id}: 2 oom]"
    ]
    (told,) = said(record(SEED, 1, Status.FAILED, reason="no kernel for this GPU; another image"))
    assert "not feasible: batch 32 ended failed (no kernel for this GPU) [" in told


@pytest.mark.parametrize(
    "status", [Status.INFRA, Status.TIMEOUT, Status.INTERRUPTED, Status.SKIPPED]
)
def test_what_says_nothing_of_the_hardware_is_no_verdict(status: Status) -> None:
    (told,) = said(record(SEED, 1, status, reason="x"))
    assert f"no verdict: batch 32 ended {status.value} (x) [" in told


def test_what_was_never_measured_has_no_verdict() -> None:
    assert said(cases=(SEED,)) == ["model-a: no verdict: not measured"]


def test_a_contradiction_is_no_verdict() -> None:
    (told,) = said(record(LARGE, 1, 1.0), record(SEED, 1, Status.OOM, **OOM))
    assert "no verdict: batch 32 ended oom (" in told
    assert ", and yet a larger batch ran [" in told


def test_pressure_and_attempts_that_were_lost_are_told() -> None:
    short = Memory(pressure_events=2)
    found = [
        record(SEED, 1, 3600.0, memory=short),
        record(SEED, 2, 3600.0, memory=short),
        record(SEED, 3, Status.OOM, **OOM),
    ]
    (told,) = said(*found)
    assert "; memory ran short 4 times; 1 of 3 attempts ran out of memory [" in told


def test_the_processor_and_synthetic_images_are_named() -> None:
    synthetic = MNIST.model_copy(update={"synthetic": True})
    cpu = Device(kind="cpu", name="Some CPU")
    (told,) = said(record(SEED, 1, 3600.0, device=cpu, dataset=synthetic))
    assert told.startswith("model-a on Some CPU (the processor, no GPU): feasible at batch 32; ")
    assert "; on synthetic images [" in told


def test_what_is_another_setting_is_another_verdict() -> None:
    half = case(precision="mixed_float16", overrides={"precision": "mixed_float16"})
    told = said(record(SEED, 1, Status.OOM, **OOM), record(half, 1, 3600.0))
    assert [line.partition(" on ")[0] for line in told] == [
        "model-a with precision=float32",
        "model-a with precision=mixed_float16",
    ]
    assert "not feasible" in told[0]
    assert "feasible at batch 32" in told[1]


def test_a_limit_on_memory_is_always_named() -> None:
    limited = case(overrides={"memory_limit": 512 << 20, "env": {"OMP_NUM_THREADS": "2"}})
    (told,) = said(record(limited, 1, 3600.0))
    assert told.startswith("model-a with memory_limit=512.00 MiB, OMP_NUM_THREADS=2 on Some GPU: ")


def test_machines_are_never_mixed() -> None:
    groups = [
        Group(name, (SEED,), (record(SEED, 1, ended, **fields),))
        for name, ended, fields in (("here", 3600.0, {}), ("there", Status.OOM, OOM))
    ]
    told = [sentence(one) for one in verdicts(groups, protocols())]
    assert told[0].startswith("here model-a on Some GPU: feasible at batch 32; seed takes 1 h 00")
    assert told[1].startswith("there model-a on Some GPU: not feasible: ")


def test_one_measurement_in_two_cells_counts_once() -> None:
    twin = case(dataset="synthetic")
    (told,) = said(record(SEED, 1, 3600.0), record(twin, 1, 3600.0, same_as=SEED.id))
    assert told.endswith(f"[{SEED.id}: 1 ok]")


@pytest.mark.parametrize(
    ("reason", "clause"),
    [
        ("", ""),
        ("one; two; three", "one"),
        (
            "2026: W tensorflow/core/bfc_allocator.cc:243] Allocator (x) ran out",
            "Allocator (x) ran out",
        ),
        ("word " * 100, "word " * 31 + "…"),
        ("first\nsecond", "first"),
    ],
)
def test_a_reason_is_cut_to_its_first_clause(reason: str, clause: str) -> None:
    assert first_clause(reason) == clause


def test_a_report_ends_with_it_and_json_carries_it_as_data() -> None:
    found = run_of("x", [record(SMALL, 1, 3600.0), record(SEED, 1, Status.OOM, **OOM)])
    lines = render([found], "table").splitlines()
    assert lines[-2] == "Verdict"
    assert lines[-1].startswith("- model-a on Some GPU: feasible with batch ≤ 16: ")
    verdict: dict[str, Any]
    (verdict,) = json.loads(render([found], "json"))["verdicts"]
    assert verdict["outcome"] == "feasible with a smaller batch"
    assert (verdict["batch"], verdict["asked"], verdict["short_at"]) == (16, 32, 32)
    assert verdict["hours"] == [
        {
            "dataset": "mnist",
            "seconds": 3600.0,
            "predicted": False,
            "interval": None,
            "repeats": 1,
        }
    ]
    assert verdict["against"]["case_id"] == SEED.id
    assert [one["case_id"] for one in verdict["evidence"]] == [SMALL.id, SEED.id]
    assert f"- {verdict['sentence']}" == lines[-1]
