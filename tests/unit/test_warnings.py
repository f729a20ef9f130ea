"""What is said before a figure is trusted."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.pivot import Group
from harness.analysis.warnings import Kind, find_warnings
from harness.model import (
    DatasetIdentity,
    Device,
    Disturbed,
    ImageIdentity,
    Record,
    Status,
    Telemetry,
    Timing,
)
from tests.unit.comparing import case, record, repeats

A, B = case(), case(model="model-b")
QUICK = Timing(total_execution_s=100.0, predicted=("total_execution_s",))


def kinds(*records: Record, name: str = "") -> dict[Kind, tuple[str, ...]]:
    found = find_warnings([Group(name, (A, B), records)])
    assert all(warning.message and warning.remedy for warning in found)
    return {warning.kind: warning.where for warning in found}


def test_even_repeats_of_one_case_give_nothing_to_say() -> None:
    assert kinds(*repeats(A, 100.0, 101.0, 99.0)) == {}


def test_what_repeats_give_away() -> None:
    assert kinds(*repeats(A, 100.0, 120.0, 80.0)) == {Kind.NOISY: (A.id,)}
    assert kinds(*repeats(A, 100.0, 101.0)) == {Kind.FEW_REPEATS: (A.id,)}
    assert Kind.SLOW_FIRST in kinds(*repeats(A, 140.0, 100.0, 101.0, 99.0))
    assert kinds(*repeats(A, 100.0, Status.OOM, Status.OOM)) == {}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Kind.RETRIED, {"attempt": 2}),
        (Kind.NEIGHBOURS, {"beside": ("another",)}),
        (Kind.WEAK, {"timing": Timing(total_execution_s=1.0, weak=("total_execution_s",))}),
        (Kind.UNSTEADY, {"timing": Timing(total_execution_s=1.0, steady=False)}),
        (Kind.DISTURBED, {"disturbed": Disturbed.YES}),
        (
            Kind.INPUT_BOUND,
            {
                "timing": Timing(
                    total_execution_s=1.0,
                    input_ratio=0.96,
                    intervals={"input_ratio": (0.9, 0.969)},
                )
            },
        ),
        (Kind.INPUT_OPEN, {"timing": Timing(total_execution_s=1.0, input_ratio=0.96)}),  # few pairs
        (
            Kind.INPUT_OPEN,
            {
                "timing": Timing(
                    total_execution_s=1.0, input_ratio=0.96, intervals={"input_ratio": (0.8, 0.98)}
                )
            },
        ),
        (Kind.HELD_BACK, {"limited_by": {"power": 0.9, "thermal": 0.2}}),
        (Kind.CARD_LOST, {"telemetry": Telemetry(samples=9, seconds=2, card_lost=True)}),
        (Kind.NO_IMAGE, {"runtime": "local"}),
        (Kind.NO_DIGEST, {"image": ImageIdentity(reference="x:1")}),
        (Kind.NO_DIGEST, {"image": ImageIdentity(reference="x", digest="sha256:1", pinned=False)}),
        (
            Kind.SYNTHETIC,
            {"dataset": DatasetIdentity(name="synthetic", synthetic=True, sha256="b" * 64)},
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Kind) else "",
)
def test_what_one_record_gives_away(kind: Kind, fields: dict[str, Any]) -> None:
    assert kinds(record(A, 1, 1.0, **fields)) == {kind: (A.id,)}


@pytest.mark.parametrize(
    "fields",
    [
        {"disturbed": Disturbed.NO},
        {"disturbed": Disturbed.UNKNOWN},
        {"limited_by": {"power": 1.0, "clocks": 0.5, "thermal": 0.1}},
        {"telemetry": Telemetry(samples=9, seconds=2)},
        {"timing": Timing(total_execution_s=1.0, input_ratio=0.98)},
        {
            "timing": Timing(
                total_execution_s=1.0, input_ratio=0.97, intervals={"input_ratio": (0.8, 0.98)}
            )
        },
    ],
)
def test_what_is_a_result_or_not_known_is_no_warning(fields: dict[str, Any]) -> None:
    assert kinds(record(A, 1, 1.0, **fields)) == {}


def test_predicted_beside_measured_needs_both() -> None:
    predicted = record(B, 1, 1.0, timing=QUICK)
    assert kinds(predicted) == {}
    assert kinds(predicted, record(A, 1, 1.0)) == {Kind.PREDICTED_AND_MEASURED: (B.id,)}


def test_repeats_that_are_no_repeats_of_each_other() -> None:
    first, second, third = repeats(A, 100.0, 101.0, 99.0)
    other = second.model_copy(update={"software_key": "f" * 64})
    assert kinds(first, other, third) == {Kind.MIXED_BENCHMARKS: (A.id,)}
    elsewhere = second.model_copy(update={"device": Device(kind="gpu", name="Another GPU")})
    assert kinds(first, elsewhere, third) == {Kind.MIXED_MACHINES: (A.id,)}


def test_of_several_machines_each_case_is_told_with_its_own() -> None:
    groups = [Group(name, (A,), tuple(repeats(A, 100.0, 101.0))) for name in ("here", "there")]
    found = {warning.kind: warning.where for warning in find_warnings(groups)}
    assert found == {
        Kind.FEW_REPEATS: (f"here {A.id}", f"there {A.id}"),
        Kind.MIXED_MACHINES: ("here", "there"),
    }
