"""The arithmetic and the tables of the benchmarks; what they measure is not tested by time."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import idle_case, pairs, quick_against_full, workload
from benchmarks.pairs import Pair
from benchmarks.quick_against_full import SETTINGS, Comparison, Setting
from benchmarks.training_loop import Turns
from harness.errors import ExitCode, InputError, NoEngineError
from harness.model import LaunchSpec
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.docker_options import Terms, options
from harness.workload import contract
from harness.workload.spec import parse

SECONDS = st.floats(0.001, 1e4)


def test_the_order_alternates_and_each_pair_keeps_its_sides() -> None:
    calls: list[str] = []

    def side(name: str) -> float:
        calls.append(name)
        return float(len(calls)) if name == "bare" else -float(len(calls))

    measured = list(pairs.interleave(3, lambda: side("bare"), lambda: side("ours")))
    assert calls == ["bare", "ours", "ours", "bare", "bare", "ours"]
    assert measured == [Pair(1.0, -2.0), Pair(4.0, -3.0), Pair(5.0, -6.0)]


def test_the_ratio_is_that_of_the_medians_and_one_outlier_does_not_move_it() -> None:
    row = pairs.compare("x", [Pair(2.0, 2.2), Pair(2.0, 9.0), Pair(2.0, 2.2)], 1.1)
    assert row.ratio == "1.100 (1.100 to 4.500)"
    assert (row.bare, row.ours, row.aim, row.met) == ("2.000 s", "2.200 s", "<= 1.1", True)
    assert pairs.compare("x", [Pair(2.0, 2.3)], 1.1).met is False
    assert pairs.compare("x", [Pair(2.0, 2.3)]).met is None


@given(st.lists(st.builds(Pair, SECONDS, SECONDS), min_size=1, max_size=9), SECONDS)
def test_ratios_do_not_depend_on_the_unit_of_time(measured: list[Pair], factor: float) -> None:
    scaled = [Pair(pair.bare * factor, pair.ours * factor) for pair in measured]
    assert pairs.medians(scaled).ratio == pytest.approx(pairs.medians(measured).ratio)


def test_a_difference_and_a_figure_are_held_against_their_aims() -> None:
    measured = [Pair(0.3, 0.35), Pair(0.3, 0.45)]
    assert pairs.difference("x", measured, 0.1).ours == "+0.100 s"
    assert pairs.difference("x", [Pair(0.3, 0.2)], 0.1).met is True
    assert pairs.difference("x", [Pair(0.3, 0.5)], 0.1).met is False
    row = pairs.figure("x", [3.0, 1.0, 2.0], "MB", 2.0)
    assert (row.ours, row.aim, row.met) == ("2.00 MB (1.00 to 3.00)", "<= 2 MB", True)
    assert pairs.figure("x", [3.0], "MB", 2.0).met is False
    assert pairs.figure("x", [3.0], "MB").met is None


def test_the_exit_code_says_whether_every_aim_is_met(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = (pairs.compare(name, [Pair(1.0, 1.5)], aim) for name, aim in (("a", 2), ("b", 1)))
    assert pairs.report("Title", "where", 1, [good]) == 0
    assert pairs.report("Title", "where", 1, [good, bad]) == 1
    printed = capsys.readouterr().out
    assert "where; 1 pairs, interleaved" in printed
    lines = [line.split() for line in printed.splitlines()]
    assert [line[-1] for line in lines if line and line[0] in ("a", "b")] == ["yes", "yes", "NO"]


@pytest.mark.parametrize(("busy", "noisy"), [(2.0, False), (55.0, True)])
def test_a_busy_machine_is_called_noisy(
    monkeypatch: pytest.MonkeyPatch, busy: float, noisy: bool
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: busy)
    assert ("NOISY" in pairs.machine()) is noisy


def test_our_epochs_run_between_fits_own_before_and_after_in_turns() -> None:
    calls: list[str] = []

    def ours() -> float:
        calls.append("ours")
        return 7.0

    turns = Turns(ours)
    for number in range(4):
        turns.on_epoch_begin(number)
        for batch in range(2):
            turns.on_batch_begin(batch)
        calls.append("fit")
        turns.on_epoch_end(number)
    assert calls == ["fit", "ours", "ours", "fit"] * 2
    assert [pair.ours for pair in turns.whole] == [pair.ours for pair in turns.loop] == [7.0] * 4
    times = zip(turns.whole, turns.loop, strict=True)
    assert all(0 < loop.bare <= whole.bare < 7.0 for whole, loop in times)


def comparison(predicted: float, interval: tuple[float, float] | None = None) -> Comparison:
    return Comparison(SETTINGS[0], predicted, interval, measured=(99.0, 101.0), sampled_s=12.0)


def test_a_prediction_is_held_against_what_was_measured() -> None:
    close = comparison(105.0, (99.0, 111.0))
    assert close.error_percent == pytest.approx(5.0)
    assert close.inside
    assert close.cells()[1:] == [
        *("105.0 s", "99.0 to 111.0 s", "99.0, 101.0 s", "+5.0 %", "2.0 %", "yes", "12 s"),
    ]
    assert not comparison(90.0, (85.0, 95.0)).inside
    assert comparison(90.0).cells()[2:5] == ["none", "99.0, 101.0 s", "-10.0 %"]
    unsteady = replace(comparison(90.0, (85.0, 95.0)), steady=False)
    assert unsteady.honest
    assert not unsteady.inside
    assert unsteady.cells()[2] == "85.0 to 95.0 s (unsteady)"


def test_a_setting_that_is_measured_again_replaces_its_own_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick_against_full, "KEPT", tmp_path / "accuracy.json")
    monkeypatch.setattr(quick_against_full, "DOCUMENT", tmp_path / "accuracy.md")
    first = comparison(105.0, (99.0, 111.0))
    other = replace(first, setting=SETTINGS[1])
    quick_against_full.write([first, other], 15.0)
    assert list(quick_against_full.kept().values()) == [first, other]
    again = replace(first, predicted=100.0, where="another day")
    quick_against_full.write([again], 15.0)
    assert list(quick_against_full.kept().values()) == [again, other]
    assert "another day" in (tmp_path / "accuracy.md").read_text()


def test_a_neighbour_is_at_work_for_as_long_as_it_should() -> None:
    me = psutil.Process()
    for name in quick_against_full.NEIGHBOURS:
        with quick_against_full.beside(name):
            assert any("while True" in " ".join(child.cmdline()) for child in me.children())
        assert not any("while True" in " ".join(child.cmdline()) for child in me.children())
    assert {setting.neighbour for setting in SETTINGS} == {"", *quick_against_full.NEIGHBOURS}


def test_interpreters_are_named_by_their_framework() -> None:
    found = quick_against_full.interpreters(["jax=/x/python"])
    assert found == {"tensorflow": sys.executable, "jax": "/x/python"}
    with pytest.raises(InputError, match="names no framework"):
        quick_against_full.interpreters(["/x/python"])


def test_the_summary_and_the_document_tell_errors_and_hits() -> None:
    found = [comparison(105.0, (99.0, 111.0)), comparison(90.0, (85.0, 95.0)), comparison(101.0)]
    told = quick_against_full.summary(found)
    assert told.startswith("Median absolute error 5.0 %, largest 10.0 %; median A/A 2.0 %,")
    assert "1 of 3 measured totals" in told
    written = quick_against_full.document(found, 15.0)
    assert told in written
    rows = [line for line in written.splitlines() if line.startswith(f"| {SETTINGS[0].words}")]
    assert len(rows) == 3
    assert "up to 15 s" in written


@pytest.mark.parametrize("measure", contract.MEASURES)
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.words)
def test_every_setting_is_a_spec_that_the_workload_takes(setting: Setting, measure: str) -> None:
    spec = parse(setting.spec(measure, 15.0))
    assert (spec.measure, spec.budget_s) == (measure, 15.0 if measure == "quick" else None)
    assert spec.dataset.train.count == setting.train
    assert spec.protocol.epochs == setting.epochs


def test_changes_reach_the_spec_and_its_protocol() -> None:
    spec = parse(workload.synthetic_case("model-b", 8, 1, 4, jit=True, epochs=3))
    assert (spec.jit, spec.protocol.epochs, spec.protocol.checkpoint) == (True, 3, "none")


def test_docker_run_gets_what_the_runtime_gives_its_containers(tmp_path: Path) -> None:
    """Mounts, environment, user and command are the translator's, so only the tool differs."""
    runtime = DockerRuntime.__new__(DockerRuntime)
    runtime.terms = Terms(12, 34)
    line = idle_case.docker_run("image", tmp_path, runtime)
    program = idle_case.PROGRAM
    wanted = options(
        LaunchSpec(program, tmp_path, program, None, idle_case.CPU, "image", {}, None, {}),
        runtime.terms,
    )
    mounts = [flag for flag in line if flag.startswith("--mount=")]
    told = [re.findall(r"source=([^,]+),target=([^,]+)(,readonly)?", flag)[0] for flag in mounts]
    assert [(source, target, bool(mode)) for source, target, mode in told] == [
        (mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in wanted["mounts"]
    ]
    assert {flag for flag in line if flag.startswith("--env=")} == {
        f"--env={name}={value}" for name, value in wanted["environment"].items()
    }
    assert f"--user={wanted['user']}" in line
    assert line[line.index("image") + 1 :] == wanted["command"]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", ""])
def test_no_pairs_at_all_are_refused(text: str) -> None:
    assert pairs.at_least_one("3") == 3
    with pytest.raises(argparse.ArgumentTypeError, match="not a number of at least 1"):
        pairs.at_least_one(text)


def test_what_the_machine_lacks_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    def lacks() -> int:
        raise NoEngineError("no engine", "start it")

    with pytest.raises(SystemExit) as ended:
        pairs.start(lacks)
    assert ended.value.code == ExitCode.MACHINE_LACKS
    assert capsys.readouterr().err == "error: no engine\n  try: start it\n"
    with pytest.raises(SystemExit) as ended:
        pairs.start(lambda: 1)
    assert ended.value.code == 1
