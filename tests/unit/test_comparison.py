"""Two runs beside each other: the statistics, the verdicts, and what is not alike."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import comparison_verdicts
from harness.analysis.comparison import Compared, Verdict, compare
from harness.analysis.gate import gate
from harness.analysis.identity import case_key
from harness.analysis.pairing import pair
from harness.analysis.ratio import geometric_mean, ratio
from harness.analysis.sameness import Sameness
from harness.campaign import run
from harness.model import DatasetIdentity, Record, Status, Timing
from harness.results.reading import Run, read_run
from tests.unit.comparing import (
    VERSIONS,
    Ended,
    case,
    ingredients,
    record,
    repeats,
    run_of,
)
from tests.unit.runs import completing, prepared

A = case()
EVEN = (100.0, 101.0, 99.0)
SLOW = (110.0, 111.0, 109.0)
EXECUTION = "total_execution_s"


def one(base: Run, new: Run, value: str = EXECUTION) -> Compared:
    (found,) = compare(base, new, value).cases
    return found


def of_repeats(base: tuple[Ended, ...], new: tuple[Ended, ...], **fields: Any) -> Compared:
    return one(run_of("base", repeats(A, *base)), run_of("new", repeats(A, *new, **fields)))


# ------------------------------------------------------------------ the ratio


@given(
    st.lists(st.floats(50.0, 200.0), min_size=3, max_size=9, unique=True),
    st.lists(st.floats(50.0, 200.0), min_size=3, max_size=9, unique=True),
)
def test_the_interval_is_the_wider_of_welchs_and_students(
    base: list[float], new: list[float]
) -> None:
    """As scipy.stats has them, which the harness itself does not load."""
    from scipy.stats import ttest_ind

    logs = [[math.log(value) for value in side] for side in (new, base)]
    both = [ttest_ind(*logs, equal_var=equal).confidence_interval(0.95) for equal in (True, False)]
    wanted = min(math.exp(one.low) for one in both), max(math.exp(one.high) for one in both)
    assert ratio(base, new).interval == pytest.approx(wanted, rel=1e-6)


def test_the_interval_of_one_example() -> None:
    found = ratio([100.0, 102.0, 98.0, 101.0], [105.0, 109.0, 104.0])
    assert found.value == pytest.approx(1.0572543, rel=1e-7)
    assert found.interval == pytest.approx((1.0059008, 1.1112295), rel=1e-7)  # Welch's


def test_the_ratio_is_of_geometric_means() -> None:
    assert geometric_mean([50.0, 200.0]) == pytest.approx(100.0)
    assert ratio([50.0, 200.0], [100.0]).value == pytest.approx(1.0)


def test_fewer_than_three_repeats_on_a_side_have_a_ratio_and_no_interval() -> None:
    for base, new in ((2, 9), (9, 2), (1, 1)):
        found = ratio([100.0] * base, [120.0] * new)
        assert found.value == pytest.approx(1.2)
        assert found.interval is None
        assert found.direction is None
    assert ratio([100.0] * 3, [120.0] * 3).interval is not None


def test_repeats_that_are_equal_to_the_last_digit_are_judged_without_dividing_by_zero() -> None:
    assert ratio([0.1] * 3, [0.1] * 7).direction == 0
    assert ratio([100.0] * 3, [101.0] * 3).direction == 1
    assert ratio([100.0] * 3, [100.0, 101.0, 102.0]).direction == 0


def test_a_ratio_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="each side"):
        ratio([], [1.0])


def test_wild_figures_stay_finite() -> None:
    found = ratio([1e-300, 1e300, 1.0], [1e300, 1e300, 1e-300])
    assert all(math.isfinite(v) for v in (found.value, *(found.interval or ())))


# ------------------------------------------------------------------ verdicts

FIGURES = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=8)
OPPOSITE = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER}


@given(FIGURES, FIGURES, st.sampled_from([EXECUTION, "images_per_s"]))
def test_swapping_the_runs_inverts_the_ratio_and_the_verdict(
    base: list[float], new: list[float], value: str
) -> None:
    first, second = run_of("base", repeats(A, *base)), run_of("new", repeats(A, *new))
    there, back = one(first, second, value), one(second, first, value)
    assert back.verdict is OPPOSITE.get(there.verdict, there.verdict)
    assert there.ratio is not None
    assert back.ratio is not None
    assert back.ratio.value == pytest.approx(1 / there.ratio.value)
    if there.ratio.interval is None:
        assert back.ratio.interval is None
    else:
        low, high = there.ratio.interval
        assert back.ratio.interval == pytest.approx((1 / high, 1 / low))


@given(FIGURES, FIGURES, st.floats(1e-3, 1e3))
def test_the_verdict_does_not_depend_on_the_unit(
    base: list[float], new: list[float], factor: float
) -> None:
    found, scaled = ratio(base, new), ratio([factor * b for b in base], [factor * n for n in new])
    assert scaled.value == pytest.approx(found.value)
    assert (scaled.interval is None) is (found.interval is None)
    if found.interval is not None:
        assert scaled.interval == pytest.approx(found.interval, rel=1e-6)


@pytest.mark.parametrize(
    ("base", "new", "verdict"),
    [
        (EVEN, SLOW, Verdict.SLOWER),
        (SLOW, EVEN, Verdict.FASTER),
        (EVEN, EVEN, Verdict.NO_DIFFERENCE),
        (EVEN, (90.0, 110.0, 131.0), Verdict.NO_DIFFERENCE),
        (EVEN, SLOW[:2], Verdict.TOO_FEW),
        ((100.0,), (200.0,), Verdict.TOO_FEW),
        (EVEN, (Status.OOM,) * 3, Verdict.NOT_COMPLETED),
        ((Status.OOM,), (Status.OOM_HOST,), Verdict.NOT_COMPLETED),
        (EVEN, (*SLOW[:2], Status.TIMEOUT), Verdict.TOO_FEW),
        (EVEN, (*SLOW, Status.TIMEOUT), Verdict.SLOWER),
    ],
)
def test_the_verdict_of_a_case(
    base: tuple[Ended, ...], new: tuple[Ended, ...], verdict: Verdict
) -> None:
    assert of_repeats(base, new).verdict is verdict


def test_more_images_a_second_are_faster() -> None:
    base, new = run_of("base", repeats(A, *EVEN)), run_of("new", repeats(A, *SLOW))
    found = one(base, new, "images_per_s")
    assert found.verdict is Verdict.FASTER
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(1.1, rel=1e-3)


def test_the_last_record_of_a_repeat_counts_and_no_other() -> None:
    slow_then_again = repeats(A, *SLOW) + repeats(A, *EVEN, attempt=2)
    base, new = run_of("base", repeats(A, *EVEN)), run_of("new", slow_then_again)
    found = one(base, new)
    assert found.new is not None
    assert found.new.figures == EVEN


def test_a_case_that_completed_without_the_figure_has_none() -> None:
    bare = repeats(A, *EVEN, timing=Timing())
    found = one(run_of("base", bare), run_of("new", repeats(A, *EVEN)))
    assert found.verdict is Verdict.NO_FIGURE
    assert found.notes == ("3 of 3 repeats in BASE have no figure",)
    zero = repeats(A, 0.0, *EVEN)
    found = one(run_of("base", zero), run_of("new", repeats(A, *EVEN)))
    assert found.verdict is Verdict.NO_DIFFERENCE
    assert found.notes == ("1 of 4 repeats in BASE have no figure",)


def predicted(*values: float) -> list[Record]:
    timings = [Timing(total_execution_s=value, predicted=(EXECUTION,)) for value in values]
    return [record(A, n, 1.0, timing=timing) for n, timing in enumerate(timings, 1)]


def test_a_prediction_stands_beside_a_prediction_only() -> None:
    both = one(run_of("base", predicted(*EVEN)), run_of("new", predicted(*SLOW)))
    assert both.verdict is Verdict.SLOWER
    single = one(run_of("base", predicted(*EVEN)), run_of("new", repeats(A, *SLOW)))
    assert single.verdict is Verdict.ONE_PREDICTED
    assert single.ratio is not None


def test_a_slow_first_repeat_is_counted_and_said() -> None:
    found = of_repeats(EVEN, (120.0, 100.0, 101.0, 99.0))
    assert found.new is not None
    assert found.new.figures[0] == 120.0
    assert found.notes == (
        "the first repeat in NEW took 1.20 times the median of the others; it is counted",
    )
    assert of_repeats(EVEN, (100.0, 120.0, 101.0, 99.0)).notes == ()
    rates = run_of("base", repeats(A, 80.0, 100.0, 101.0)), run_of("new", repeats(A, *EVEN))
    assert "BASE took 1.26 times" in one(*rates, "images_per_s").notes[0]


# ------------------------------------------------------------------ pairs


def test_cases_of_two_machines_are_paired_whatever_their_gpu_is_called() -> None:
    base, new = case(gpu="0"), case(gpu="GPU-1234")
    found = one(run_of("base", repeats(base, *EVEN)), run_of("new", repeats(new, *SLOW)))
    assert (found.id, found.verdict) == (case().id, Verdict.SLOWER)


def test_what_is_ambiguous_is_not_paired_and_equal_names_are() -> None:
    zero, first = case(gpu="0"), case(gpu="1")
    found = pair([zero, first], [case()])
    assert (found.pairs, found.only_base, found.only_new) == ((), (zero, first), (case(),))
    found = pair([zero, first], [first])
    assert (found.pairs, found.only_base) == (((first, first),), (zero,))


def test_another_image_or_measure_is_paired_and_said() -> None:
    base, new = case(image="tf-2.17"), case(image="tf-2.18", measure="quick")
    found = one(run_of("base", repeats(base, *EVEN)), run_of("new", repeats(new, *SLOW)))
    assert found.verdict is Verdict.SLOWER
    assert found.notes == (
        "image: tf-2.17 in BASE, tf-2.18 in NEW",
        "measure: full in BASE, quick in NEW",
    )


def test_a_case_on_one_side_only_is_said_with_the_nearest_of_the_other() -> None:
    b, other = case(batch_size=64, jit=True), case(batch_size=64)
    base = run_of("base", repeats(A, *EVEN) + repeats(b, *EVEN))
    new = run_of("new", repeats(A, *EVEN) + repeats(other, *EVEN))
    both, only_base, only_new = compare(base, new, EXECUTION).cases
    assert both.verdict is Verdict.NO_DIFFERENCE
    assert (only_base.id, only_base.verdict) == (b.id, Verdict.ONLY_BASE)
    assert only_base.notes == ("the nearest in NEW has jit False instead of True",)
    assert (only_new.id, only_new.verdict) == (other.id, Verdict.ONLY_NEW)
    assert only_new.base is None


def test_only_the_cases_that_are_wanted_are_compared() -> None:
    b = case(model="model-b")
    runs = [run_of(n, repeats(A, *EVEN) + repeats(b, *EVEN)) for n in ("base", "new")]
    (found,) = compare(runs[0], runs[1], EXECUTION, lambda c: c.model == "model-b").cases
    assert found.id == b.id


def test_a_case_of_the_matrix_that_never_ran_is_not_run() -> None:
    found = one(run_of("base", repeats(A, *EVEN)), run_of("new", [], cases=[A]))
    assert found.verdict is Verdict.NOT_COMPLETED
    assert found.new is not None
    assert found.new.endings == ("not run",)


# ------------------------------------------------------------------ sameness


def test_equal_keys_are_the_identical_benchmark() -> None:
    found = of_repeats(EVEN, SLOW).likeness
    assert found is not None
    assert (found.sameness, found.differences) == (Sameness.IDENTICAL, ())


def test_other_software_is_comparable_and_named_with_both_values() -> None:
    found = of_repeats(EVEN, SLOW, versions={**VERSIONS, "framework": "2.18.0", "cudnn": "9"})
    assert found.verdict is Verdict.SLOWER
    assert found.likeness is not None
    assert found.likeness.sameness is Sameness.COMPARABLE
    assert [str(difference) for difference in found.likeness.differences] == [
        "framework: 2.17.0 in BASE, 2.18.0 in NEW",
        "cudnn: none in BASE, 9 in NEW",
    ]


def test_software_that_changed_between_repeats_is_not_identical() -> None:
    newer = record(A, 3, 99.0, versions={**VERSIONS, "keras": "3.4.0"})
    mixed = [*repeats(A, 100.0, 101.0), newer]
    found = one(run_of("base", mixed), run_of("new", mixed)).likeness
    assert found is not None
    assert [str(difference) for difference in found.differences] == [
        "keras: 3.3.2 and 3.4.0 in BASE, 3.3.2 and 3.4.0 in NEW"
    ]


def test_keys_over_other_names_than_todays_hide_nothing_and_add_nothing() -> None:
    found = of_repeats(EVEN, SLOW, software_key="0" * 64).likeness
    assert found is not None
    assert found.sameness is Sameness.IDENTICAL


def test_software_that_no_workload_told_is_not_called_identical() -> None:
    found = of_repeats(EVEN, (Status.INFRA,), versions={}).likeness
    assert found is not None
    assert [str(d) for d in found.differences] == ["software: told in BASE, not told in NEW"]


def different(known: bool, **changed: Any) -> Compared:
    """A case whose ingredients are not those of BASE; `known`: run.json tells them."""
    here, there = ingredients(A), ingredients(A, **changed)
    new = repeats(A, *EVEN, case_key=case_key(there))
    tell = {A.id: here}, {A.id: there}
    return one(
        run_of("base", repeats(A, *EVEN), tell[0] if known else None),
        run_of("new", new, tell[1] if known else None),
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"workload": "2" * 64}, "workload: 111111111111 in BASE, 222222222222 in NEW"),
        (
            {"protocol": {"name": "seed", "epochs": 5}},
            "protocol.epochs: 12 in BASE, 5 in NEW",
        ),
        ({"env": {"OMP_NUM_THREADS": "4"}}, "env.OMP_NUM_THREADS: none in BASE, 4 in NEW"),
        ({"seed": 7}, "seed: 2021 in BASE, 7 in NEW"),
    ],
)
def test_what_is_not_comparable_names_the_ingredient_and_has_no_ratio(
    changed: dict[str, Any], said: str
) -> None:
    found = different(True, **changed)
    assert (found.verdict, found.ratio) == (Verdict.NOT_COMPARABLE, None)
    assert found.likeness is not None
    assert [str(difference) for difference in found.likeness.differences] == [said]


def test_an_older_run_without_ingredients_says_what_it_can() -> None:
    found = different(False, workload="2" * 64)
    assert found.verdict is Verdict.NOT_COMPARABLE
    assert found.likeness is not None
    assert [str(d) for d in found.likeness.differences] == ["the workload or the protocol"]


def test_ingredients_that_do_not_make_the_key_are_not_believed() -> None:
    new = repeats(A, *EVEN, case_key="f" * 64)
    tell = {A.id: ingredients(A)}, {A.id: ingredients(A, seed=7)}
    found = one(run_of("base", repeats(A, *EVEN), tell[0]), run_of("new", new, tell[1])).likeness
    assert found is not None
    assert [str(d) for d in found.differences] == ["the workload or the protocol"]


def test_other_data_is_named_with_what_stood_in() -> None:
    data = DatasetIdentity(name="mnist", synthetic=True, sha256="b" * 64)
    found = of_repeats(EVEN, EVEN, case_key="f" * 64, dataset=data)
    assert found.likeness is not None
    assert [str(d) for d in found.likeness.differences] == [
        "dataset: mnist aaaaaaaaaaaa in BASE, mnist (synthetic) bbbbbbbbbbbb in NEW"
    ]


def test_overrides_are_named_where_only_the_records_tell_them() -> None:
    other = case(overrides={"epochs": 3})
    new = repeats(other, *EVEN, case_key="f" * 64)
    found = one(run_of("base", repeats(A, *EVEN)), run_of("new", new)).likeness
    assert found is not None
    assert [str(d) for d in found.differences] == ["overrides.epochs: none in BASE, 3 in NEW"]


def test_repeats_of_two_benchmarks_are_no_repeats() -> None:
    mixed = [*repeats(A, 100.0, 101.0), record(A, 3, 99.0, case_key="f" * 64)]
    found = one(run_of("base", repeats(A, *EVEN)), run_of("new", mixed))
    assert found.verdict is Verdict.NOT_COMPARABLE
    assert found.likeness is not None
    assert [str(d) for d in found.likeness.differences] == ["the repeats of NEW among themselves"]


# ------------------------------------------------------------------ the gate


def gated(base: tuple[Ended, ...], new: tuple[Ended, ...], limit: float, **fields: Any) -> str:
    """Which of the gate's lists holds the one case."""
    runs = run_of("base", repeats(A, *base)), run_of("new", repeats(A, *new, **fields))
    found = gate(compare(*runs, EXECUTION), limit)
    lists = ("slower", "failing", "open", "untested")
    return " ".join(name for name in lists if getattr(found, name)) or "passed"


@pytest.mark.parametrize(
    ("base", "new", "held"),
    [
        (EVEN, SLOW, "slower"),
        (EVEN, EVEN, "passed"),
        (SLOW, EVEN, "passed"),
        (EVEN, (102.0, 102.1, 101.9), "passed"),
        (EVEN, (99.0, 106.0, 103.0), "open"),
        (EVEN, (90.0, 110.0, 131.0), "open"),
        (EVEN, SLOW[:2], "untested"),
        (EVEN, (Status.OOM,), "failing"),
        (EVEN, (*SLOW, Status.OOM), "slower failing"),
        ((*EVEN, Status.OOM), (*EVEN, Status.OOM), "passed"),
        ((*EVEN, Status.OOM), (Status.OOM,), "failing"),
        ((Status.OOM,), (Status.OOM,), "untested"),
        ((Status.OOM,), EVEN, "untested"),
    ],
)
def test_what_fails_a_limit_of_five_percent(
    base: tuple[Ended, ...], new: tuple[Ended, ...], held: str
) -> None:
    assert gated(base, new, 0.05) == held


def test_the_limit_is_on_the_ratio_and_on_time_whatever_is_compared() -> None:
    assert gated(EVEN, SLOW, 0.2) == "passed"
    high, low = run_of("high", repeats(A, *SLOW)), run_of("low", repeats(A, *EVEN))
    assert gate(compare(high, low, "images_per_s"), 0.05).slower
    assert not gate(compare(low, high, "images_per_s"), 0.05).slower


def test_another_benchmark_fails_no_gate() -> None:
    assert gated(EVEN, (Status.OOM,), 0.05, case_key="f" * 64) == "untested"


def test_a_case_that_ends_as_its_matrix_expects_fails_no_gate() -> None:
    expected = case(expect=(Status.OOM,))
    runs = run_of("base", repeats(A, *EVEN)), run_of("new", repeats(expected, Status.OOM))
    assert gate(compare(*runs, EXECUTION), 0.05).passed


def test_a_gate_that_tested_nothing_is_vacuous() -> None:
    few = run_of("base", repeats(A, 100.0)), run_of("new", repeats(A, 300.0))
    assert gate(compare(*few, EXECUTION), 0.05).vacuous
    fails = run_of("base", repeats(A, 100.0)), run_of("new", repeats(A, Status.OOM))
    assert not gate(compare(*fails, EXECUTION), 0.05).vacuous


# ------------------------------------------------------------------ with the campaign


def test_a_run_keeps_what_its_case_keys_were_made_from(tmp_path: Path) -> None:
    matrix = "axes: {model: [model-a], dataset: [synthetic]}\ndefaults: {protocol: smoke}\n"
    made, _ = prepared(matrix, lambda spec: completing(), tmp_path)
    kept = read_run(run(made, lambda event: None).folder)
    (found,) = kept.records
    assert case_key(kept.info.ingredients[found.case_id]) == found.case_key


# ------------------------------------------------------------------ the simulation


def test_the_simulation_judges_as_compare_does_and_repeats_itself() -> None:
    noisy, *_ = comparison_verdicts.SETTINGS
    found = comparison_verdicts.simulate(noisy, 300)
    assert found == comparison_verdicts.simulate(noisy, 300)
    assert found.false < 0.1
    assert found.seen > 0.9
    assert found.false_gate <= found.false
    assert found.seen_gate <= found.seen
    still = comparison_verdicts.normal(0.0)
    quiet = comparison_verdicts.Setting("no noise", still, still, (3, 3))
    rates = comparison_verdicts.simulate(quiet, 2)
    assert (rates.false, rates.seen, rates.few_false, rates.most_seen) == (0.0, 1.0, True, True)


def test_every_noise_of_the_simulation_draws_as_many_positive_times_as_asked() -> None:
    for setting in comparison_verdicts.SETTINGS:
        drawn = setting.new(random.Random(1), setting.repeats[1])
        assert len(drawn) == setting.repeats[1]
        assert all(seconds > 0 for seconds in drawn)


@pytest.mark.parametrize(("false", "few"), [(0.05, True), (0.0515, True), (0.0525, False)])
def test_a_false_alarm_rate_misses_its_aim_where_chance_does_not_explain_it(
    false: float, few: bool
) -> None:
    rates = comparison_verdicts.Rates(false, 0.0, 0.96, 0.5, trials=50_000)
    assert rates.few_false is few
