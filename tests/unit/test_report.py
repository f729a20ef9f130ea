from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness import cli
from harness.campaign import run
from harness.errors import InputError
from harness.matrix import parse_selection
from harness.model import Status
from harness.report import FORMATS, PIVOTS, render
from harness.report.groups import selected
from harness.results.reading import Run, read_run
from harness.runtimes.scripted import Script
from tests.unit.comparing import case, repeats, run_of
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
    text = render([study], "table")
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
    text = render([study], "table")
    heads = ["This machine: scripted-machine", "Total execution", "Total inference", "Details"]
    places = [text.index(head) for head in heads]
    assert places == sorted(places)


def test_every_format_shows_every_case_and_no_failure_as_a_number(study: Run) -> None:
    for form in FORMATS:
        text = render([study], form)
        for one in study.info.cases:
            assert one.id in text
        assert "oom" in text


def test_markdown_is_made_of_headings_and_tables(study: Run) -> None:
    lines = render([study], "markdown").splitlines()
    headings = [line for line in lines if line.startswith("#")]
    assert [line.split()[1] for line in headings] == [
        "This",
        "Total",
        "Total",
        "Published",
        "Details",
        "Verdict",
    ]
    assert all(lines[lines.index(heading) + 1] == "" for heading in headings)
    assert "| dataset   | model-a   | model-b   |" in render([study], "markdown")


def test_csv_has_a_line_for_each_record_with_dotted_names(study: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(render([study], "csv"))))
    assert len(rows) == 4
    assert rows[0]["timing.total_execution_s"] == "3758.0"
    assert rows[0]["case.model"] == "model-a"
    assert rows[1]["same_as"] == rows[0]["case_id"]
    assert [row["status"] for row in rows] == ["ok", "ok", "oom", "oom"]
    assert rows[2]["timing.total_execution_s"] == ""


def test_json_holds_the_run_and_the_records(study: Run) -> None:
    content = json.loads(render([study], "json"))
    (kept,) = content["runs"]
    assert kept["machine"] == "scripted-machine"
    assert len(kept["records"]) == 4
    assert kept["records"][2]["timing"]["total_execution_s"] is None
    assert [(one["case_id"], one["value"]) for one in content["summary"]][:1] == [
        (study.info.cases[0].id, "total_execution_s")
    ]
    assert "synthetic data" in [warning["kind"] for warning in content["warnings"]]


def test_repeats_show_their_median_and_the_failures_among_them(tmp_path: Path) -> None:
    scripts = iter([completing(train=train(t)) for t in (100.0, 300.0, 110.0)] + [failing(1)])
    made, _ = prepared(
        "axes: {model: [model-a], dataset: [synthetic]}\nrepeats: 4\n",
        lambda spec: next(scripts),
        tmp_path,
    )
    text = render([read_run(run(made, lambda event: None).folder)], "table")
    assert "110.0* (1 x failed)" in text


def test_cases_that_differ_in_more_than_dataset_and_model_get_their_own_rows(
    tmp_path: Path,
) -> None:
    matrix = "axes: {model: [model-a], dataset: [synthetic], batch_size: [32, 64]}\n"
    made, _ = prepared(matrix, lambda spec: completing(), tmp_path)
    text = render([read_run(run(made, lambda event: None).folder)], "table")
    assert "synthetic batch_size=32" in text
    assert "synthetic batch_size=64" in text


# ------------------------------------------------------------------ repeats and warnings

A, B = case(), case(model="model-b")
ONE = "axes: {model: [model-a], dataset: [synthetic]}\ndefaults: {protocol: smoke}\n"


def measured(tmp_path: Path, totals: list[float], more: str = "", machine: str = "here") -> Run:
    """A run of one case that took `totals`."""
    coming = iter(totals)
    made, _ = prepared(
        f"{ONE}repeats: {len(totals)}\n{more}",
        lambda spec: completing(train=train(next(coming))),
        tmp_path,
    )
    return read_run(run(replace(made, machine=machine), lambda event: None).folder)


def row(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(start)).split()


def test_repeats_get_their_statistics(tmp_path: Path) -> None:
    found = measured(tmp_path, [100.0, 101.0, 99.0, 100.0])
    text = render([found], "table")
    assert row(text, found.info.cases[0].id)[1:] == [
        *["4", "100.00*", "100.00*", "98.70", "to", "101.30", "99.00*", "101.00*", "0.8%"],
        *["none", "as", "the", "others"],
    ]
    assert "interval: 95% by Student's t around the mean" in text


def test_a_slow_first_repeat_is_reported_apart_and_kept(tmp_path: Path) -> None:
    found = measured(tmp_path, [140.0, 100.0, 101.0, 99.0, 100.5])
    text = render([found], "table")
    assert row(text, found.info.cases[0].id)[-3:] == ["140.00", "slow:", "140.00"]
    assert f"slow first repeat: {found.info.cases[0].id}: the first repeat was slower" in text
    assert "noisy: " in text
    (first,) = json.loads(render([found], "json"))["summary"][:1]
    assert first["values"] == [140.0, 100.0, 101.0, 99.0, 100.5]
    assert first["slow_first"] == 140.0


def test_one_repeat_says_what_its_interval_is(tmp_path: Path) -> None:
    text = render([measured(tmp_path, [100.0])], "table")
    assert "one repeat each: within-run interval only" in text
    assert "Repeats:" not in text


def test_two_repeats_are_too_few(tmp_path: Path) -> None:
    text = render([measured(tmp_path, [100.0, 101.0])], "table")
    assert "too few repeats: " in text
    assert "fewer than 3 repeats; repeats: 3 in the matrix" in text


# ------------------------------------------------------------------ tables of one's own


def test_a_pivot_of_ones_own(study: Run) -> None:
    text = PIVOTS["table"]([study], "status", ["model"], ["dataset", "precision"])
    assert row(text, "model ") == [
        *["model", "mnist", "precision=float32", "synthetic", "precision=float32"]
    ]
    assert row(text, "model-a") == ["model-a", "ok*", "ok*"]
    assert row(text, "model-b") == ["model-b", "oom*", "oom*"]


def test_no_cell_holds_two_cases(tmp_path: Path) -> None:
    matrix = "axes: {model: [model-a], dataset: [synthetic], batch_size: [32, 64]}\n"
    made, _ = prepared(matrix, lambda spec: completing(), tmp_path)
    found = read_run(run(made, lambda event: None).folder)
    text = PIVOTS["csv"]([found], "images_per_s", ["dataset"], ["model"])
    assert text.splitlines() == [
        "dataset,model-a",
        "synthetic batch_size=32,640.0*",
        "synthetic batch_size=64,640.0*",
    ]


def test_several_machines_are_groups_of_rows(tmp_path: Path) -> None:
    here = measured(tmp_path / "a", [100.0])
    there = measured(tmp_path / "b", [50.0], machine="there")
    text = render([here, there], "table")
    assert text.count("This machine: ") == 2
    assert "here synthetic   100.0*" in text
    assert "there synthetic  50.0*" in text
    assert "mixed machines: here, there" in text
    assert "Published machines" not in text


def test_two_runs_of_one_machine_are_more_repeats(tmp_path: Path) -> None:
    runs = [measured(tmp_path / str(n), [100.0 + n, 100.0]) for n in range(2)]
    text = render(runs, "table")
    assert row(text, runs[0].info.cases[0].id)[1] == "4"


def test_the_command_takes_a_part_and_refuses_what_is_not_there(
    tmp_path: Path, study: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*arguments: str) -> tuple[int, str, str]:
        line = ["harness", "report", str(study.path), "--results", str(tmp_path), *arguments]
        monkeypatch.setattr("sys.argv", line)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), told.out, told.err

    code, out, _ = said("--only", "model=model-a", "--format", "csv")
    assert (code, len(out.splitlines())) == (0, 3)
    code, out, _ = said("--rows", "model", "--value", "status")
    assert (code, row(out, "model-b")) == (0, ["model-b", "oom*", "oom*"])
    for arguments, words in (
        (["--rows", "model", "--cols", "model"], "--rows and --cols name 'model' twice"),
        (["--rows", ","], "--rows names no field"),
        (["--rows", "modle"], "unknown field 'modle'; did you mean 'model'"),
        (["--value", "speed"], "unknown value 'speed'"),
        (["--format", "xml"], "unknown format 'xml'"),
        (["--format", "junit", "--rows", "model"], "unknown format 'junit'"),
        (["--only", "model=model-c"], "leave none of the 4 cases"),
        (["nowhere"], "there is no run 'nowhere'"),
    ):
        code, _, err = said(*arguments)
        assert code == 2
        assert words in err


def test_junit_tells_failures_from_expected_ones(study: Run, tmp_path: Path) -> None:
    suites = ElementTree.fromstring(render([study], "junit"))
    (suite,) = suites
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "2", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "oom"
    assert "ran out of memory" in str(failure.get("message"))
    expected = "axes: {model: [model-b], dataset: [synthetic]}\nexpect: oom\n"
    made, _ = prepared(expected, lambda spec: failing(1, HARD + b"\x00\n"), tmp_path / "e")
    outcome = run(made, lambda event: None)
    assert outcome.as_expected
    suites = ElementTree.fromstring(render([read_run(outcome.folder)], "junit"))
    assert suites[0].get("failures") == "0"
    made, _ = prepared(expected, lambda spec: completing(), tmp_path / "c")
    outcome = run(made, lambda event: None)
    assert not outcome.as_expected
    suites = ElementTree.fromstring(render([read_run(outcome.folder)], "junit"))
    found = suites[0].find("testcase/failure")
    assert found is not None
    assert found.get("message") == "expected oom, and it is ok"


# ------------------------------------------------------------------ by hand


def test_repeats_of_two_runs_of_one_machine_are_counted_on() -> None:
    runs = [run_of("x", repeats(A, total)) for total in (100.0, 101.0)]
    alike = [replace(r, info=r.info.model_copy(update={"machine": "m"})) for r in runs]
    text = render(alike, "table")
    assert "one repeat each" not in text
    assert row(text, f"{A.id} #2")[:2] == [A.id, "#2"]


def test_one_repeat_among_cases_with_several_says_what_its_interval_is() -> None:
    ended = [*repeats(A, 100.0, 101.0, 99.0), *repeats(B, Status.OOM, 50.0, Status.OOM)]
    text = render([run_of("x", ended)], "table")
    assert row(text, B.id)[1:] == [
        *["1", "50.00", "50.00", "within-run", "interval", "only", "50.00", "50.00"]
    ]
    assert "one repeat each" not in text


def test_details_and_reasons_of_several_machines_name_them() -> None:
    runs = [run_of("here", repeats(A, 100.0)), run_of("there", repeats(A, Status.OOM, reason="x"))]
    text = render(runs, "table")
    assert row(text, f"machine-here {A.id}")[2] == "ok"
    assert f"machine-there {A.id}: oom: x" in text


def test_two_machines_of_one_label_are_never_one() -> None:
    runs = [
        replace(run, info=run.info.model_copy(update={"machine": "m", "machine_hash": known * 64}))
        for known, total in (("1", 100.0), ("2", 200.0))
        for run in [run_of(known, repeats(A, total))]
    ]
    text = render(runs, "table")
    assert row(text, "m (111111) mnist") == ["m", "(111111)", "mnist", "100.0"]
    assert row(text, "m (222222) mnist") == ["m", "(222222)", "mnist", "200.0"]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("figure", [math.inf, math.nan])
def test_a_figure_that_is_no_number_breaks_nothing(form: str, figure: float) -> None:
    assert render([run_of("x", repeats(A, figure, 100.0, 101.0))], form)


def test_junit_does_without_times() -> None:
    (suite,) = ElementTree.fromstring(render([run_of("x", repeats(A, 100.0))], "junit"))
    assert [test.get("time") for test in suite] == ["0.000"]


def test_a_selection_is_of_all_runs_together() -> None:
    runs = [run_of("a", repeats(A, 1.0)), run_of("b", repeats(B, 1.0))]
    kept = selected(runs, parse_selection(["model=model-b"], []))
    assert [(run.info.run_id, len(run.records)) for run in kept] == [("b", 1)]
    with pytest.raises(InputError, match="leave none of the 2 cases"):
        selected(runs, parse_selection(["model=model-c"], []))
