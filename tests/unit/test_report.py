from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from harness.campaign import run
from harness.report import FORMATS, render
from harness.results.reading import Run, read_run
from harness.runtimes.scripted import Script
from tests.unit.runs import completing, failing, infer, prepared, train
from tests.unit.test_logs import HARD

STUDY = """
axes: {model: [model-a, model-b], dataset: [mnist, synthetic]}
defaults: {protocol: seed}
dataset_fallback: synthetic
"""


@pytest.fixture
def study(tmp_path: Path) -> Run:
    """Model A on synthetic images in both cells; model B out of memory."""
    scripts = {
        "model-a": completing(train=train(3758.0), infer=infer(9.01)),
        "model-b": failing(1, HARD + b"\n"),
    }

    def script(spec: object) -> Script:
        label = spec.labels["harness.case"]  # type: ignore[attr-defined]
        return scripts[label.partition("_")[0]]

    made, _ = prepared(STUDY, script, tmp_path)
    return read_run(run(made, lambda event: None).folder)


def test_the_studys_table_has_datasets_as_rows_and_models_as_columns(study: Run) -> None:
    text = render(study, "table")
    assert "Total execution time in seconds (training + validation, protocol seed)" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["dataset", "model-a", "model-b"] in rows
    assert ["mnist", "3758.0*", "oom*"] in rows
    assert ["synthetic", "3758.0*", "oom*"] in rows
    assert ["mnist", "9.0*", "oom*"] in rows
    assert "Scripted CPU (8 threads)" in text
    assert "* measured on synthetic images" in text
    assert "model-a_synthetic_tensorflow_seed_b32_float32_full is the same measurement as" in text
    assert "measured on scripted processor, in the scripted environment, not a pinned image" in text


def test_the_tables_are_above_each_other_in_the_studys_order(study: Run) -> None:
    text = render(study, "table")
    heads = ["This machine: scripted-machine", "Total execution", "Total inference", "Details"]
    places = [text.index(head) for head in heads]
    assert places == sorted(places)


def test_every_format_shows_every_case_and_no_failure_as_a_number(study: Run) -> None:
    for form in FORMATS:
        text = render(study, form)
        for case in study.info.cases:
            assert case.id in text
        assert "oom" in text


def test_markdown_is_made_of_headings_and_tables(study: Run) -> None:
    lines = render(study, "markdown").splitlines()
    headings = [line for line in lines if line.startswith("#")]
    assert [line.split()[1] for line in headings] == [
        "This",
        "Total",
        "Total",
        "Published",
        "Details",
    ]
    assert all(lines[lines.index(heading) + 1] == "" for heading in headings)
    assert "| dataset   | model-a   | model-b   |" in render(study, "markdown")


def test_csv_has_a_line_for_each_record_with_dotted_names(study: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(render(study, "csv"))))
    assert len(rows) == 4
    assert rows[0]["timing.total_execution_s"] == "3758.0"
    assert rows[0]["case.model"] == "model-a"
    assert rows[1]["same_as"] == rows[0]["case_id"]
    assert [row["status"] for row in rows] == ["ok", "ok", "oom", "oom"]
    assert rows[2]["timing.total_execution_s"] == ""


def test_json_holds_the_run_and_the_records(study: Run) -> None:
    content = json.loads(render(study, "json"))
    assert content["run"]["machine"] == "scripted-machine"
    assert len(content["records"]) == 4
    assert content["records"][2]["timing"]["total_execution_s"] is None


def test_repeats_show_their_median_and_the_failures_among_them(tmp_path: Path) -> None:
    scripts = iter([completing(train=train(t)) for t in (100.0, 300.0, 110.0)] + [failing(1)])
    made, _ = prepared(
        "axes: {model: [model-a], dataset: [synthetic]}\nrepeats: 4\n",
        lambda spec: next(scripts),
        tmp_path,
    )
    text = render(read_run(run(made, lambda event: None).folder), "table")
    assert "110.0* (1 x failed)" in text


def test_cases_that_differ_in_more_than_dataset_and_model_get_their_own_rows(
    tmp_path: Path,
) -> None:
    matrix = "axes: {model: [model-a], dataset: [synthetic], batch_size: [32, 64]}\n"
    made, _ = prepared(matrix, lambda spec: completing(), tmp_path)
    text = render(read_run(run(made, lambda event: None).folder), "table")
    assert "synthetic batch_size=32" in text
    assert "synthetic batch_size=64" in text
