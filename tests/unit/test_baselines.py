"""Published figures: kept as published, compared with equals alone, their differences told."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tabulate import tabulate

from harness.analysis.baselines import (
    EXECUTION,
    INFERENCE,
    Comparison,
    compare,
    departures,
    differences,
    not_compared,
)
from harness.campaign import run
from harness.catalog import baselines, datasets, models, protocols
from harness.matrix.fields import ALLOWED_ENV, SAME_WORK_ENV
from harness.model import Device, Record, Status
from harness.report.baselines import published, shown_ratio
from harness.results.reading import read_run
from harness.runtimes.scripted import Script
from tests.unit.runs import completing, failing, infer, prepared, train

PUBLISHED = list(baselines().values())
GPU = Device(kind="gpu", name="NVIDIA Test", uuid="GPU-1")
BENCH = """
axes: {model: [model-a, model-b-2021], dataset: [mnist, fashion-mnist]}
defaults: {protocol: reference}
dataset_fallback: synthetic
"""


def measured(
    tmp_path: Path, matrix: str, seconds: Mapping[str, float], device: Device = GPU
) -> list[Record]:
    """The records of `matrix` on the scripted runtime; models without seconds fail."""
    ran = {"device": {"kind": device.kind, "name": device.name}}

    def script(spec: Any) -> Script:
        total = seconds.get(spec.labels["harness.case"].partition("_")[0])
        if total is None:
            return failing(1)
        return completing(train=train(total, **ran), infer=infer(5.0, **ran))

    made, _ = prepared(matrix, script, tmp_path, device)
    return list(read_run(run(made, lambda event: None).folder).standing().values())


def changed(record: Record, **case: Any) -> Record:
    """The record as one of another case."""
    other = record.case.model_copy(update=case)
    return record.model_copy(update={"case": other, "case_id": other.id})


@pytest.fixture
def bench(tmp_path: Path) -> list[Record]:
    return measured(tmp_path, BENCH, {"model-a": 500.0, "model-b-2021": 30000.0})


@pytest.fixture
def one(bench: list[Record]) -> Record:
    """Model A on Fashion under ``reference``: 500 s and 5 s."""
    return next(r for r in bench if (r.case.model, r.case.dataset) == ("model-a", "fashion-mnist"))


def seconds_of(protocol: str, metric: str) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for baseline in PUBLISHED:
        for figure in baseline.figures:
            seconds = getattr(figure, metric)
            if baseline.protocol == protocol and seconds is not None:
                found.setdefault((figure.model, figure.dataset), []).append(seconds)
    return found


# ------------------------------------------------------------------ the data


def test_the_later_table_is_kept_as_it_was_published() -> None:
    assert seconds_of("reference", EXECUTION) == {
        ("model-a", "mnist"): [2317, 1021, 1661, 1718],
        ("model-a", "fashion-mnist"): [2347, 1046, 1672, 1703],
        ("model-b-2021", "mnist"): [27378, 14069, 15215, 16504],
        ("model-b-2021", "fashion-mnist"): [27406, 14077, 15128, 16490],
    }
    assert seconds_of("reference", INFERENCE) == {
        ("model-a", "fashion-mnist"): [9.01, 8.72, 27.46, 11.61],
        ("model-b-2021", "fashion-mnist"): [55.85, 51.36, 56.88, 50.72],
    }


def test_the_first_table_is_apart_and_has_memory_pressure_in_place_of_a_time() -> None:
    assert seconds_of("seed", EXECUTION) == {
        ("model-a", "mnist"): [3758],
        ("model-a", "fashion-mnist"): [3780],
    }
    assert seconds_of("seed", INFERENCE) == {}
    *_, pressed = baselines()["seed"].figures
    assert (pressed.model, pressed.dataset) == ("model-b-2021", "mnist")
    assert pressed.status is Status.PRESSURE
    assert pressed.largest_request == int(3.42 * 2**30)


def test_machines_are_named_with_their_parts() -> None:
    assert [baseline.machine for baseline in PUBLISHED] == [
        "First table: i7-10750H, RTX 2060 5,980 MB, 16 GB",
        "Setup 1: i7-10750H, RTX 2060",
        "Setup 2: i9-10900K, RTX 3070",
        "Setup 3: i7-8700K, RTX 2070",
        "Setup 4: i9-7920X, RTX 2070",
    ]
    assert [baseline.tf32_likely for baseline in PUBLISHED] == [False, False, True, False, False]


def test_figures_name_only_what_the_catalog_knows_and_no_b_but_the_one_of_2021() -> None:
    for baseline in PUBLISHED:
        assert baseline.protocol in protocols()
        for figure in baseline.figures:
            assert figure.model in {"model-a", "model-b-2021"} <= models().keys()
            assert figure.dataset in datasets()
            assert figure.loaded_after is None or figure.loaded_after in models()


def test_the_protocols_are_still_those_the_figures_were_measured_under() -> None:
    for name, batches in {"seed": (32, 12), "reference": (64, 64)}.items():
        protocol = protocols()[name]
        assert (protocol.batch_size["model-a"], protocol.batch_size["model-b-2021"]) == batches
        assert (protocol.epochs, protocol.precision, protocol.jit) == (100, "float32", False)
        assert protocol.train_images == protocol.test_images == 0


# ------------------------------------------------------------------ what is compared


def test_each_case_stands_beside_the_four_setups_of_its_model_and_dataset(
    bench: list[Record],
) -> None:
    found = compare(bench, PUBLISHED, EXECUTION)
    assert [c.baseline.name for c in found] == ["Setup 1", "Setup 2", "Setup 3", "Setup 4"] * 4
    assert all((c.figure.model, c.figure.dataset) == (c.case.model, c.case.dataset) for c in found)
    first = found[0]
    assert (first.published, first.here) == (2317, 500)
    assert first.ratio == pytest.approx(4.634)
    slower = found[-1]
    assert (slower.published, slower.here) == (16490, 30000)
    assert slower.ratio == pytest.approx(0.5497, abs=1e-4)


def test_inference_is_compared_where_it_was_published(bench: list[Record]) -> None:
    found = compare(bench, PUBLISHED, INFERENCE)
    assert {c.case.dataset for c in found} == {"fashion-mnist"}
    assert [c.published for c in found] == [9.01, 8.72, 27.46, 11.61, 55.85, 51.36, 56.88, 50.72]
    assert {c.here for c in found} == {5.0}


def test_the_protocols_never_mix(bench: list[Record]) -> None:
    seed = [changed(record, protocol="seed") for record in bench]
    found = compare(bench + seed, PUBLISHED, EXECUTION)
    assert all(c.baseline.protocol == c.case.protocol for c in found)
    assert [c.published for c in found if c.case.protocol == "seed"] == [3758, 3780, None]


@pytest.mark.parametrize(
    "case",
    [
        {"model": "model-b"},
        {"dataset": "mnist-10k"},
        {"dataset": "synthetic"},
        {"protocol": "smoke"},
        {"batch_size": 32, "overrides": {"batch_size": 32}},
        {"precision": "tf32", "overrides": {"precision": "tf32"}},
        {"jit": True, "overrides": {"jit": True}},
        {"overrides": {"epochs": 10}},
        {"overrides": {"env": {"NVIDIA_TF32_OVERRIDE": "1"}}},
        {"overrides": {"env": {"OMP_NUM_THREADS": "2", "XLA_FLAGS": "--xla_dump_to=x"}}},
    ],
)
def test_another_work_is_never_compared_and_says_why(one: Record, case: dict[str, Any]) -> None:
    other = changed(one, **case)
    for metric in (EXECUTION, INFERENCE):
        assert compare([other], PUBLISHED, metric) == []
    (reason,) = not_compared([other], PUBLISHED)
    departing = case.get("overrides", {})
    expected = list(departing.get("env", departing))[-1] if departing else "nothing was published"
    assert expected in reason


def test_the_same_work_done_otherwise_is_compared_and_told(one: Record) -> None:
    overrides = {"env": {"OMP_NUM_THREADS": "2"}, "memory_limit": 6 << 30}
    found = compare([changed(one, overrides=overrides)], PUBLISHED, EXECUTION)
    assert len(found) == 4
    told = differences(found)
    assert "set here: OMP_NUM_THREADS=2" in told
    assert "memory: limited to 6.00 GiB here" in told


def test_variables_that_may_turn_on_tf32_or_xla_are_no_same_work() -> None:
    other_work = {"NVIDIA_TF32_OVERRIDE", "TF_XLA_FLAGS", "XLA_FLAGS"}
    assert not other_work & set(SAME_WORK_ENV)
    assert set(ALLOWED_ENV) <= other_work | set(SAME_WORK_ENV), "a variable that nobody judged"


@pytest.mark.parametrize("status", list(Status))
def test_only_what_completed_is_compared(one: Record, status: Status) -> None:
    found = compare([one.model_copy(update={"status": status})], PUBLISHED, EXECUTION)
    assert len(found) == (4 if status.completed else 0)


def test_the_median_of_the_repeats_that_completed_is_compared(tmp_path: Path) -> None:
    matrix = "axes: {model: [model-a], dataset: [mnist]}\nrepeats: 4\ndataset_fallback: synthetic\n"
    scripts = iter([completing(train=train(t)) for t in (100.0, 900.0, 110.0)] + [failing(1)])
    made, _ = prepared(matrix, lambda spec: next(scripts), tmp_path)
    records = read_run(run(made, lambda event: None).folder).standing().values()
    found = compare(records, PUBLISHED, EXECUTION)
    assert {(c.here, len(c.records)) for c in found} == {(110.0, 3)}


def test_a_processor_is_compared_as_well(tmp_path: Path) -> None:
    processor = Device(kind="cpu", name="scripted processor")
    records = measured(tmp_path, BENCH, {"model-a": 40000.0}, processor)
    found = compare(records, PUBLISHED, EXECUTION)
    assert len(found) == 8
    assert all(c.ratio is not None and c.ratio < 0.1 for c in found)
    assert "device: a GPU there, the processor here" in differences(found)


@given(
    here=st.floats(min_value=1e-3, max_value=1e7),
    factor=st.floats(min_value=1e-3, max_value=1e3),
)
def test_twice_as_fast_here_is_a_ratio_of_two(here: float, factor: float) -> None:
    baseline = PUBLISHED[1]
    compared = Comparison(baseline, baseline.figures[0], EXECUTION, here * factor, here, ())
    assert compared.ratio == pytest.approx(factor)
    assert float(shown_ratio(factor).removesuffix("x")) == pytest.approx(factor, rel=6e-3)


def test_a_time_of_nothing_gives_no_ratio() -> None:
    baseline = PUBLISHED[1]
    assert Comparison(baseline, baseline.figures[0], EXECUTION, 1.0, 0.0, ()).ratio is None


def test_no_departure_is_seen_in_a_case_as_its_protocol_says(one: Record) -> None:
    assert departures(one.case) == ()


# ------------------------------------------------------------------ what differs


def test_the_known_differences_are_told_of_a_run(bench: list[Record]) -> None:
    found = [c for metric in (EXECUTION, INFERENCE) for c in compare(bench, PUBLISHED, metric)]
    told = "\n".join(differences(found))
    assert "TensorFlow 2.1 to 2.4 there, tensorflow 2.17.0 with Keras 3.3.2 here" in told
    assert "TF32: likely on there on the RTX 3070, off here" in told
    assert "weights: imagenet there, random here" in told
    assert "inference: loading + evaluating the 10,000 test images at batch 32 there" in told
    assert "inference of model-b-2021: in a process that had already run model-a there" in told
    assert "data: the dataset there, synthetic images of its shapes here" in told
    assert "device:" not in told
    assert "measure:" not in told


def test_only_differences_of_what_is_compared_are_told(one: Record) -> None:
    real = one.model_copy(update={"dataset": one.dataset.model_copy(update={"synthetic": False})})
    own = changed(real, weights="imagenet")
    without_ampere = [baseline for baseline in PUBLISHED if not baseline.tf32_likely]
    (only,) = differences(compare([own], without_ampere, EXECUTION))
    assert only.startswith("software:")


def test_what_differs_in_some_cases_names_them(bench: list[Record]) -> None:
    a, b = bench[0], changed(bench[1], weights="imagenet")
    told = differences(compare([a, b], PUBLISHED, EXECUTION))
    (weights,) = [sentence for sentence in told if sentence.startswith("weights:")]
    assert weights.endswith(f"({a.case_id})")


# ------------------------------------------------------------------ the section

PLAIN = partial(tabulate, tablefmt="simple", disable_numparse=True)
GITHUB = partial(tabulate, tablefmt="github", disable_numparse=True)


def test_the_section_shows_published_here_and_ratio_with_its_direction(
    bench: list[Record],
) -> None:
    section = "\n".join(published(bench, PLAIN, "{}"))
    assert "(published, not identical)" in section
    assert "2.00x means that this machine is twice as fast as the published one" in section
    rows = [" ".join(line.split()) for line in section.splitlines()]
    head = "published machine model dataset protocol published here published / here"
    assert rows.count(head) == 2
    execution = "Setup 2: i9-10900K, RTX 3070 model-a mnist reference 1021 500.0* 2.04x*"
    inference = (
        "Setup 1: i7-10750H, RTX 2060 model-b-2021 fashion-mnist reference 55.85 5.0* 11.2x*"
    )
    assert rows.index(execution) < rows.index("Total inference time in seconds")
    assert rows.index(inference) > rows.index("Total inference time in seconds")
    assert "- source: the study's later table" in rows


def test_markdown_has_a_heading_with_text_and_tables_of_its_own(bench: list[Record]) -> None:
    section = "\n".join(published(bench, GITHUB, "## {}\n"))
    assert "\n## Published machines beside this one (published, not identical)\n" in section
    lines = section.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("| published machine"):
            assert lines[number - 1] == ""


def test_predicted_values_keep_their_mark(one: Record) -> None:
    timing = one.timing.model_copy(update={"predicted": (EXECUTION,)})
    section = published([one.model_copy(update={"timing": timing})], PLAIN, "{}")
    shown = " ".join("\n".join(section).split())
    assert "2347 ≈500.0* ≈4.69x*" in shown
    assert "9.01 5.0* 1.80x*" in shown
    assert "predicted from a measured part here" in shown


def test_a_published_memory_pressure_stands_without_a_ratio(one: Record) -> None:
    record = changed(one, model="model-b-2021", dataset="mnist", protocol="seed")
    section = published([record], PLAIN, "{}")
    row = next(line for part in section for line in part.splitlines() if "First table" in line)
    assert row.rstrip().endswith("500.0*")
    assert "pressure (3.42 GiB asked)" in row


def test_a_completed_case_without_an_equal_is_named_and_not_left_out_silently(
    one: Record,
) -> None:
    section = "\n".join(published([one, changed(one, model="model-b")], PLAIN, "{}"))
    reason = "model-b on fashion-mnist under reference: nothing was published"
    instead = "the figures are for model-a, model-b-2021"
    assert f"- not compared: {reason}; {instead}" in section


def test_cases_that_differ_otherwise_are_named_in_their_rows(one: Record) -> None:
    second = changed(one, gpu="1")
    section = "\n".join(published([one, second], PLAIN, "{}"))
    assert "case here" in section
    assert section.count(second.case_id) >= 8
    assert "case here" not in "\n".join(published([one], PLAIN, "{}"))


def test_without_anything_comparable_there_is_no_section(one: Record) -> None:
    failed = one.model_copy(update={"status": Status.OOM})
    assert published([], PLAIN, "{}") == []
    assert published([failed, changed(one, protocol="smoke")], PLAIN, "{}") == []
