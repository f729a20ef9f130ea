"""FLOP/s, the share of a card's peak, and what held a training back."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.bottleneck import achieved_flops, bottleneck, share_of_peak
from harness.analysis.telemetry import Sample, summed_up
from harness.catalog import models
from harness.model import Device, Disturbed, Record, Status, Telemetry, Timing
from tests.unit.comparing import case, record

CARD = "NVIDIA GeForce RTX 2070"


def a_record(
    *,
    kind: str | None = "gpu",
    name: str | None = CARD,
    ratio: float | None = 0.99,
    busy: float | None = 0.95,
    memory: float | None = 0.4,
    thermal: float = 0.0,
    **fields: Any,
) -> Record:
    seen = Telemetry(
        samples=fields.pop("samples", 100), seconds=20.0, busy=busy, memory_utilisation=memory
    )
    of = case(precision=fields.pop("precision", "float32"), model=fields.pop("model", "model-a"))
    return record(
        of,
        1,
        fields.pop("status", 10.0),
        **{
            "device": Device(kind=kind, name=name),
            "timing": Timing(
                images_per_s=fields.pop("rate", 1000.0),
                input_ratio=ratio,
                intervals={} if ratio is None else {"input_ratio": (ratio, ratio)},
            ),
            "telemetry": seen if kind == "gpu" else None,
            "limited_by": {"thermal": thermal} if thermal else {},
            **fields,
        },
    )


# ------------------------------------------------------------------ FLOP/s, share of the peak


def test_flops_are_images_per_second_times_what_an_image_costs() -> None:
    assert achieved_flops(a_record(rate=2.0)) == 2 * models()["model-a"].training_flops
    assert achieved_flops(a_record(rate=None)) is None
    assert achieved_flops(a_record(model="a-model-since-dropped")) is None


def test_what_was_not_measured_has_no_flops() -> None:
    for gone in (a_record(purpose="fit"), a_record(status=Status.OOM)):
        assert gone.timing.images_per_s is not None
        assert achieved_flops(gone) is None
        assert share_of_peak(gone) is None


def test_the_share_is_of_the_peak_in_the_cases_precision() -> None:
    flops = 1000 * models()["model-a"].training_flops
    assert share_of_peak(a_record()) == pytest.approx(flops / 7.5e12)
    assert share_of_peak(a_record(precision="mixed_float16")) == pytest.approx(flops / 29.9e12)


def test_an_unknown_peak_stays_unknown() -> None:
    assert share_of_peak(a_record(precision="tf32")) is None  # which this card does not have
    assert share_of_peak(a_record(name="Some GPU")) is None
    assert share_of_peak(a_record(name=None)) is None


@pytest.mark.parametrize("kind", ["cpu", None])
def test_what_is_no_gpu_is_never_held_against_a_gpus_peak(kind: str | None) -> None:
    assert achieved_flops(a_record(kind=kind)) is not None
    assert share_of_peak(a_record(kind=kind, name=CARD)) is None


# ------------------------------------------------------------------ the word


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"thermal": 0.3}, "thermal"),
        ({"thermal": 0.3, "ratio": 0.5, "busy": 0.2}, "thermal"),
        ({"thermal": 0.05}, "compute"),
        ({"ratio": 0.9}, "input"),
        ({"ratio": 0.9, "busy": 0.2, "memory": 0.9}, "input"),
        ({"ratio": 0.9, "busy": None}, "input"),
        ({"ratio": 0.9, "limited_by": None}, "input"),
        ({"ratio": 0.98, "busy": 0.5}, "launch"),
        ({"busy": 0.5, "memory": 0.9, "limited_by": None}, "launch"),
        ({"memory": 0.9}, "memory"),
        ({"memory": 0.9, "limited_by": {"power": 0.9}}, "memory"),
        ({}, "compute"),
        ({"status": Status.PRESSURE}, "compute"),
        # A card that is hardly ever idle waits for nothing, whether data was compared or not.
        ({"ratio": None}, "compute"),
        ({"ratio": None, "memory": 0.9}, "memory"),
    ],
)
def test_the_first_row_that_applies_is_the_word(fields: dict[str, Any], word: str) -> None:
    assert bottleneck(a_record(**fields)) == word


@pytest.mark.parametrize(
    "fields",
    [
        {"busy": None},
        {"busy": 0.5, "ratio": None},  # waits for data, or for the next kernel
        {"memory": None},
        {"limited_by": None},  # heat may have slowed it
        {"samples": 4},
        {"samples": 4, "thermal": 0.5},
        {"telemetry": None},
        {"telemetry": None, "limited_by": None, "ratio": None},
        {"status": Status.OOM},
        {"purpose": "fit"},
        {"disturbed": Disturbed.YES},
        {"kind": None},
        # Every pair has to be slower with fetching, not the middle one alone.
        {
            "busy": None,
            "timing": Timing(input_ratio=0.9, intervals={"input_ratio": (0.8, 0.98)}),
        },
    ],
)
def test_nothing_is_said_where_the_figures_do_not_tell(fields: dict[str, Any]) -> None:
    assert bottleneck(a_record(**fields)) is None


@pytest.mark.parametrize(("ratio", "word"), [(0.9, "input"), (0.99, "compute"), (None, None)])
def test_a_processor_is_told_input_or_compute_only(ratio: float | None, word: str | None) -> None:
    assert bottleneck(a_record(kind="cpu", name="i7-10750H", ratio=ratio)) == word
    hot = a_record(kind="cpu", name="i7-10750H", ratio=ratio, limited_by={"thermal": 1.0})
    assert bottleneck(hot) == word


# ------------------------------------------------------------------ how busy the card was


def test_busy_is_the_mean_over_the_training_blocks_alone() -> None:
    start_up = [Sample(t=n / 5, utilisation=0.0) for n in range(50)]
    training = [Sample(t=10 + n / 5, utilisation=0.9) for n in range(10)]
    between = [Sample(t=12.1 + n / 5, utilisation=0.1) for n in range(4)]
    more = [Sample(t=13 + n / 5, utilisation=0.7) for n in range(10)]
    found = summed_up([*start_up, *training, *between, *more], [(9.9, 12.0), (13.0, 15.0)], 64)
    assert found.busy == pytest.approx(0.8)
    assert found.utilisation is not None
    assert found.utilisation < 0.3


def test_too_few_samples_within_the_blocks_tell_nothing() -> None:
    samples = [Sample(t=n / 5, utilisation=1.0) for n in range(50)]
    assert summed_up(samples, [(2.0, 2.7)]).busy is None
    assert summed_up(samples, [(2.0, 2.9)]).busy == 1.0
    assert summed_up(samples).busy is None
    assert summed_up(samples, [(5000.0, 5100.0)]).busy is None
    assert summed_up([Sample(t=n / 5) for n in range(50)], [(0.0, 9.0)]).busy is None
