"""The prediction on scripted block times, where the truth is known."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.prediction import (
    BETWEEN_PROCESSES,
    LEAST_HALF,
    Prediction,
    predict_inference,
    predict_training,
    settled,
    step_time,
)

HEATED: dict[str, Any] = {"seconds": 70.0, "steps": 300, "steps_s": 66.0, "steady": True}
EPOCHS, STEPS, VALIDATION_STEPS = 100, 937, 156


def blocks(step_times: list[float], steps: int = 10) -> list[dict[str, Any]]:
    return [{"steps": steps, "images": 64 * steps, "seconds": s * steps} for s in step_times]


def timing(train: list[float], **more: Any) -> dict[str, Any]:
    parts = {"first_s": 0.0, "overheads": [0.0], "partials": []}
    return {
        "plan": {
            "epochs": EPOCHS,
            "steps": STEPS,
            "validation_steps": VALIDATION_STEPS,
            "checkpoint": "none",
        },
        "sample": {
            "train": more.pop("train_parts", parts),
            "validation": more.pop("validation_parts", parts),
            "saves": more.pop("saves", []),
        },
        "blocks": {"train": blocks(train), "validation": blocks([0.1] * 12)},
        "heating": None,
        **more,
    }


def least_half(found: Prediction) -> float:
    """Of a total whose sample was free of noise."""
    parts = (LEAST_HALF * found.values[name] for name in ("train_s", "validation_s"))
    return math.hypot(*parts, BETWEEN_PROCESSES * found.values["total_execution_s"])


def test_a_steady_device_is_predicted_exactly_and_its_interval_is_narrow() -> None:
    found = predict_training(timing([0.2] * 20))
    validation = 0.1 * (EPOCHS * VALIDATION_STEPS - 1)
    assert found.values["train_s"] == pytest.approx(0.2 * (EPOCHS * STEPS - 1))
    assert found.values["validation_s"] == pytest.approx(validation)
    assert found.values["checkpoint_s"] == 0.0
    total = found.values["total_execution_s"]
    assert total == pytest.approx(found.values["train_s"] + validation)
    low, high = found.intervals["total_execution_s"]
    assert (high - low) / 2 == pytest.approx(least_half(found), rel=0.01)
    assert (high + low) / 2 == pytest.approx(total)
    assert found.weak == ()
    assert found.steady


def test_a_validation_of_less_than_a_batch_is_its_ends_alone() -> None:
    told = timing(
        [0.2] * 20, validation_parts={"first_s": 0.0, "overheads": [0.5], "partials": [0.3]}
    )
    told["plan"]["validation_steps"] = 0
    told["blocks"]["validation"] = []
    found = predict_training(told)
    assert found.values["validation_s"] == pytest.approx(EPOCHS * 0.8)
    assert "total_execution_s" in found.intervals


def test_what_warmed_the_device_up_is_in_the_whole_once() -> None:
    """Steps told apart, those of the heating, and the slow ones that a sample begins with."""
    told = {"warm_up": blocks([0.9, 0.5]), "heating": HEATED}
    found = predict_training(timing([0.4, 0.4, 0.4, *[0.2] * 30], **told))
    slow = (0.9 + 0.5 + 3 * 0.4) * 10 + HEATED["steps_s"]
    rest = EPOCHS * STEPS - 1 - 50 - HEATED["steps"]
    assert found.values["train_s"] == pytest.approx(slow + 0.2 * rest)
    assert found.steady


def test_a_first_block_that_is_as_slow_as_others_is_no_warming_up() -> None:
    uneven = [0.3 if number % 3 == 0 else 0.2 for number in range(30)]
    assert settled(blocks(uneven)) == 0
    assert settled(blocks([0.6, *[0.2 + 0.001 * ((n + 2) % 5) for n in range(29)]])) == 1


def test_a_machine_of_two_speeds_is_not_steady() -> None:
    found = predict_training(timing([0.2, 0.2, 0.4, 0.4, 0.2, 0.4, 0.2, 0.2, 0.4, 0.2, 0.2, 0.2]))
    assert not found.steady
    assert "total_execution_s" in found.intervals


def test_every_part_of_an_epoch_is_counted() -> None:
    parts = {"first_s": 5.0, "overheads": [0.5, 0.5, 0.6], "partials": [0.9, 0.1, 0.1, 0.2]}
    found = predict_training(timing([0.2] * 12, train_parts=parts))
    steps = 0.2 * (EPOCHS * STEPS - 1)
    partials = 0.9 + 0.1 * (EPOCHS - 1)
    assert found.values["train_s"] == pytest.approx(5.0 + steps + 0.5 * EPOCHS + partials)


def test_saves_widen_the_interval_since_they_depend_on_learning() -> None:
    plan = {**timing([0.2])["plan"], "checkpoint": "best_val_accuracy"}
    found = predict_training(timing([0.2] * 12, saves=[2.0, 2.0], plan=plan))
    assert found.values["checkpoint_s"] == 20.0
    assert found.intervals["checkpoint_s"] == (2.0, 200.0)
    low, high = found.intervals["total_execution_s"]
    total = found.values["total_execution_s"]
    half = least_half(found)
    assert total - low == pytest.approx(18.0 + half, rel=1e-3)
    assert high - total == pytest.approx(180.0 + half, rel=1e-3)


def test_noise_is_covered_as_often_as_is_stated() -> None:
    source = random.Random(7)
    hits = 0
    for _ in range(400):
        found = step_time(blocks([source.gauss(0.2, 0.006) for _ in range(20)]))
        assert found.half is not None
        hits += abs(found.value - 0.2) <= found.half
    assert hits / 400 >= 0.93


def test_a_drift_that_goes_on_is_inside_the_interval() -> None:
    found = step_time(blocks([0.2 + 0.001 * n for n in range(20)]))
    assert found.half is not None
    assert found.value < 0.219 <= found.value + found.half


def test_two_speeds_give_a_wide_interval_and_not_a_lucky_one() -> None:
    found = step_time(blocks([0.2, 0.2, 0.3, 0.2, 0.3, 0.3] * 4))
    steady = step_time(blocks([0.25] * 24))
    assert found.half is not None
    assert steady.half is not None
    assert found.half > 0.01 > steady.half
    assert abs(found.value - 0.25) <= found.half


def test_short_first_blocks_do_not_weigh() -> None:
    slow_start = [{"steps": 1, "images": 64, "seconds": 0.9}]
    found = step_time(slow_start + blocks([0.2] * 12))
    assert found.value == pytest.approx(0.2)


def test_few_blocks_are_weak_and_one_has_no_interval() -> None:
    assert step_time(blocks([0.2] * 9)).weak
    assert not step_time(blocks([0.2] * 10)).weak
    one = step_time(blocks([0.2]))
    assert (one.half, one.weak) == (None, True)
    found = predict_training(timing([0.2]))
    assert found.values["train_s"] > 0
    assert found.intervals == {}
    assert found.weak == ("total_execution_s",)


def test_a_device_that_was_never_steady_gets_no_interval() -> None:
    hot = timing([0.2] * 20, heating={"steady": False, "seconds": 180.0})
    assert predict_training(hot).intervals == {}
    assert predict_training({**hot, "heating": {"steady": True, "seconds": 40.0}}).intervals


def test_inference_adds_loading_preparing_and_the_first_prediction() -> None:
    content = {
        "plan": {"steps": 312},
        "prepare_s": 0.5,
        "model_load_s": 2.0,
        "blocks": {"predict": blocks([0.1] * 12)},
        "sample": {"predict": {"first_s": 0.4, "overheads": [0.01], "partials": [0.05, 0.05]}},
    }
    found = predict_inference(content)
    assert found.values["predict_s"] == pytest.approx(0.5 + 0.4 + 31.1 + 0.01 + 0.05)
    assert found.values["total_inference_s"] == pytest.approx(found.values["predict_s"] + 2.0)


@given(st.lists(st.floats(0.01, 10.0), min_size=1, max_size=60))
def test_any_blocks_give_a_value_among_them(times: list[float]) -> None:
    found = step_time(blocks(times, steps=100))
    assert min(times) * 0.999 <= found.value <= max(times) * 1.001
    assert found.half is None or found.half >= 0
