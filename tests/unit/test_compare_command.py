"""``harness compare`` on the command line: what it prints, and how it exits."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from harness import cli
from harness.errors import ExitCode
from harness.model import DatasetIdentity, Status, Timing
from harness.report.comparison import FORMATS
from harness.units import parse_percent
from tests.unit.comparing import VERSIONS, Ended, case, record, repeats, run_of, written

A, B = case(), case(model="model-b")
EVEN, SLOW = (100.0, 101.0, 99.0), (110.0, 111.0, 109.0)


class Said(NamedTuple):
    """How the command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """``harness compare`` as a user starts it, on the runs in the test's folder."""

    def command(*arguments: str) -> Said:
        line = ["harness", "compare", *arguments, "--results", str(tmp_path)]
        monkeypatch.setattr("sys.argv", line)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Said(code or 0, *capsys.readouterr())

    return command


@pytest.fixture
def two(tmp_path: Path) -> Callable[[tuple[Ended, ...], tuple[Ended, ...]], None]:
    """Leaves the runs ``base`` and ``new`` on disk, each with these repeats of one case."""

    def leave(base: tuple[Ended, ...], new: tuple[Ended, ...]) -> None:
        written(run_of("base", repeats(A, *base)), tmp_path)
        written(run_of("new", repeats(A, *new)), tmp_path)

    return leave


Two = Callable[[tuple[Ended, ...], tuple[Ended, ...]], None]


def test_the_table_tells_ratio_interval_verdict_and_method(compare: Command, two: Two) -> None:
    two(EVEN, SLOW)
    said = compare("base", "latest")
    assert (said.code, said.err) == (0, "")
    rows = [line.split() for line in said.out.splitlines()]
    (row,) = [row for row in rows if row[:1] == [A.id]]
    assert row[1:] == [
        "100.0",
        "(3)",
        "110.0",
        "(3)",
        "1.100",
        "(1.076",
        "to",
        "1.124)",
        "slower",
        "identical",
    ]
    assert "Total execution time in seconds: NEW / BASE, above 1 is slower" in said.out
    assert "1 slower" in said.out
    assert "the wider of Welch's and Student's intervals (95%) on the logarithms" in said.out
    assert ["BASE", "base", "machine-base", "2026-01-01"] in rows


def test_rates_are_faster_above_one(compare: Command, two: Two) -> None:
    two(EVEN, SLOW)
    said = compare("base", "new", "--value", "images_per_s")
    assert "images per second: NEW / BASE, above 1 is faster" in said.out
    assert "1 faster" in said.out


def test_a_case_that_ends_otherwise_is_shown_by_its_statuses(compare: Command, two: Two) -> None:
    two(EVEN, (Status.OOM, Status.OOM, Status.OOM))
    (row,) = [line for line in compare("base", "new").out.splitlines() if line.startswith(A.id)]
    assert row.split("  ")[1:3] == ["100.0 (3)", "3 x oom"]
    assert "not completed" in row


def test_what_is_not_alike_is_named_below(compare: Command, tmp_path: Path) -> None:
    newer = repeats(A, *EVEN, versions={**VERSIONS, "keras": "3.4.0"})
    other = repeats(B, *EVEN, case_key="f" * 64)
    written(run_of("base", repeats(A, *EVEN) + repeats(B, *EVEN)), tmp_path)
    written(run_of("new", newer + other), tmp_path)
    said = compare("base", "new").out
    differs = "comparable, but software differs in keras: 3.3.2 in BASE, 3.4.0 in NEW"
    assert f"- {differs} ({A.id})" in said
    assert f"- not comparable: differs in the workload or the protocol ({B.id})" in said


def test_predictions_and_stand_ins_are_marked(compare: Command, tmp_path: Path) -> None:
    synthetic = DatasetIdentity(name="synthetic", synthetic=True, sha256="b" * 64)
    timing = Timing(total_execution_s=100.0, predicted=("total_execution_s",))
    marked = [record(A, n, 1.0, timing=timing, dataset=synthetic) for n in (1, 2)]
    written(run_of("base", marked), tmp_path)
    written(run_of("new", marked), tmp_path)
    said = compare("base", "new").out
    assert "≈100.0* (2)" in said
    assert "≈1.000" in said
    assert "- ≈ predicted from a measured part" in said
    assert "replaces no repeat" in said
    assert "- * measured on synthetic images, which stood in for the dataset that is named" in said
    assert "too few repeats: a verdict needs 3 on each side" in said


def test_what_has_no_ratio_has_no_method(compare: Command, tmp_path: Path) -> None:
    written(run_of("base", repeats(A, *EVEN)), tmp_path)
    written(run_of("new", repeats(B, *EVEN)), tmp_path)
    said = compare("base", "new").out
    assert "1 only in BASE, 1 only in NEW" in said
    assert "how:" not in said


@pytest.mark.parametrize(
    ("seconds", "shown"), [(37580.0, "37580.0 (3)"), (0.01234, "0.01234 (3)"), (9.0, "9 (3)")]
)
def test_figures_are_shown_as_people_read_them(
    compare: Command, two: Two, seconds: float, shown: str
) -> None:
    two((seconds,) * 3, (seconds,) * 3)
    assert f"  {shown}  " in compare("base", "new").out


def test_only_and_skip_choose_cases(compare: Command, tmp_path: Path) -> None:
    for name in ("base", "new"):
        written(run_of(name, repeats(A, *EVEN) + repeats(B, *EVEN)), tmp_path)
    for option in (["--only", "model=model-b"], ["--skip", "model=model-a"]):
        said = compare("base", "new", *option)
        assert B.id in said.out
        assert A.id not in said.out


def test_programs_get_the_figures(compare: Command, two: Two) -> None:
    two(EVEN, SLOW)
    told = json.loads(compare("base", "new", "--format", "json", "--fail-if-slower", "20%").out)
    (found,) = told["cases"]
    assert found["ratio"] == pytest.approx(1.1, rel=1e-3)
    assert found["base"]["figures"] == list(EVEN)
    assert told["gate"] == {
        "limit": 0.2,
        "passed": True,
        "tested": [A.id],
        "slower": [],
        "failing": [],
        "open": [],
        "untested": [],
    }
    (row,) = csv.DictReader(io.StringIO(compare("base", "new", "--format", "csv").out))
    assert (row["case"], row["verdict"], row["benchmark"]) == (A.id, "slower", "identical")
    assert float(row["low"]) < float(row["ratio"]) < float(row["high"])


@pytest.mark.parametrize("form", FORMATS)
def test_the_gate_exits_1_in_every_format_and_says_why(
    compare: Command, two: Two, form: str
) -> None:
    two(EVEN, SLOW)
    said = compare("base", "new", "--fail-if-slower", "5%", "--format", form)
    assert said.code == ExitCode.CASES_FAILED
    if form != "json":
        where = said.err if form == "csv" else said.out
        assert f"- slower by more than 5 %: {A.id}" in where
        assert "the verdict is slower and the ratio itself is more than 5 % beyond 1" in where


@pytest.mark.parametrize(
    ("new", "limit", "code"),
    [
        (SLOW, "5", 1),
        (SLOW, "20%", 0),
        (EVEN, "0", 0),
        ((103.0, 103.1, 102.9), "0%", 1),
        ((*EVEN, Status.OOM), "5%", 1),
        ((Status.FAILED,), "5%", 1),
    ],
)
def test_how_the_gate_exits(
    compare: Command, two: Two, new: tuple[Ended, ...], limit: str, code: int
) -> None:
    two(EVEN, new)
    assert compare("base", "new", "--fail-if-slower", limit).code == code


def test_a_gate_that_could_not_fail_does_not_pass(compare: Command, two: Two) -> None:
    two((100.0,), (300.0,))
    said = compare("base", "new", "--fail-if-slower", "5%")
    assert said.code == ExitCode.BAD_INPUT
    assert "too few repeats" in said.out
    assert "error: --fail-if-slower tested nothing" in said.err
    assert "repeats: 3" in said.err


@pytest.mark.parametrize("text", ["-5%", "nan", "inf", "", "5%%", "five", "1e3", "5 %%", "\u0665%"])
def test_what_is_no_percentage_is_refused(compare: Command, two: Two, text: str) -> None:
    two(EVEN, SLOW)
    said = compare("base", "new", f"--fail-if-slower={text}")
    assert said.code == ExitCode.BAD_INPUT
    assert said.err == f"error: {text!r} is no percentage; write 5% or 2.5\n"
    assert said.out == ""


def test_percentages_are_read_as_people_write_them() -> None:
    texts = ["5%", "5", " 2.5 % ", "0", "150%"]
    assert [parse_percent(text) for text in texts] == [0.05, 0.05, 0.025, 0.0, 1.5]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["base", "other"], "there is no run 'other'"),
        (["new", "latest"], "BASE and NEW are the same run, new"),
        (["base", "new", "--value", "train"], "unknown value 'train'"),
        (["base", "new", "--format", "xml"], "unknown format 'xml'"),
        (["base", "new", "--only", "modl=x"], "did you mean 'model'?"),
        (["base", "new", "--only", "model=model-z"], "leave none of the"),
    ],
)
def test_bad_input_is_one_error(
    compare: Command, two: Two, arguments: list[str], error: str
) -> None:
    two(EVEN, SLOW)
    said = compare(*arguments)
    assert said.code == ExitCode.BAD_INPUT
    assert said.err.startswith("error: ")
    assert error in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_damaged_run_is_named(compare: Command, two: Two, tmp_path: Path) -> None:
    two(EVEN, SLOW)
    (tmp_path / "new" / "run.json").write_text("{}", "utf-8")
    said = compare("base", "new")
    assert (said.code, said.out) == (ExitCode.BAD_INPUT, "")
    assert "cannot be read" in said.err
