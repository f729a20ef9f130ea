from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from harness.analysis.cost import (
    CaseCost,
    Figure,
    Preparation,
    Price,
    RunCost,
    parse_price,
    run_cost,
)
from harness.campaign import resume, run
from harness.catalog import protocols
from harness.cli import app
from harness.cli.prices import price as asked
from harness.cli.prices import price_of_each
from harness.errors import HarnessError, InputError
from harness.model import DatasetIdentity, Record, Status, Timing
from harness.report import FORMATS, render
from harness.report.cost import ASSUMPTION, HEADERS, Priced, money
from harness.results.reading import Run, read_run
from harness.results.run import Invocation
from tests.unit.comparing import case, record, repeats, run_of, written
from tests.unit.runs import completing, prepared

SEED = case()
SMOKE = case(protocol="smoke", batch_size=64)
SMOKE_MATRIX = Path(__file__).parents[2] / "matrices" / "smoke.yaml"
USD = Price(3.6)
"""A thousandth of a dollar a second."""


def paid(records: list[Record], *prices: Price | None, preparation_s: float | None = 120.0) -> Run:
    """A run of an invocation for each price, a day apart from 2026-01-01 on."""
    made = run_of("by-hand", records)
    invocations = [
        Invocation(
            started_at=f"2026-01-0{day}T00:00:00.000+00:00",
            runtime="docker",
            runtime_reason="",
            harness_version="0",
            python="3.11.2",
            price_per_hour=price.per_hour if price else None,
            currency=price.currency if price else None,
            preparation_s=preparation_s,
        )
        for day, price in enumerate(prices, 1)
    ]
    return replace(made, info=made.info.model_copy(update={"invocations": tuple(invocations)}))


def on_day(day: int, seconds: float = 60.0) -> dict[str, str]:
    """When an attempt was that took `seconds`."""
    began = datetime(2026, 1, day, 12, tzinfo=timezone.utc)
    ended = began + timedelta(seconds=seconds)
    return {"started_at": began.isoformat(), "finished_at": ended.isoformat()}


def costs(run_: Run, price: Price | None = None) -> RunCost:
    found = run_cost(run_, protocols(), price)
    assert found is not None
    return found


def only_case(run_: Run, price: Price | None = None) -> CaseCost:
    (found,) = costs(run_, price).cases
    return found


# ------------------------------------------------------------------ what it cost


def test_the_case_costs_the_wall_time_of_all_its_attempts() -> None:
    lost = record(SEED, 1, Status.INFRA, **on_day(1, 30), transient=True)
    found = only_case(
        paid(
            [
                lost,
                record(SEED, 1, 10.0, **on_day(1, 60), attempt=2),
                record(SEED, 2, 10.0, **on_day(1, 90)),
            ],
            USD,
        )
    )
    assert (found.attempts, found.seconds) == (3, 180.0)
    assert found.measured == pytest.approx(0.18)


def test_a_case_that_ran_out_of_memory_cost_its_time_and_has_no_other_figure() -> None:
    found = only_case(paid([record(SEED, 1, Status.OOM, **on_day(1))], USD))
    assert found.measured == pytest.approx(0.06)
    assert (found.protocol, found.per_million_images, found.ended) == (None, None, ("oom",))


def test_each_attempt_is_charged_at_the_price_of_its_invocation() -> None:
    records = [record(SEED, 1, 10.0, **on_day(1)), record(SEED, 2, 10.0, **on_day(2))]
    found = costs(paid(records, USD, Price(7.2)))
    assert found.prices == (USD, Price(7.2))
    assert found.cases[0].measured == pytest.approx(0.06 + 0.12)
    assert found.cases[0].price == Price(7.2)


def test_what_has_no_one_sum_is_not_shown_as_one() -> None:
    records = [record(SEED, 1, 10.0, **on_day(1)), record(SEED, 2, 10.0, **on_day(2))]
    for second in (None, Price(3.6, "EUR")):
        assert only_case(paid(records, USD, second)).measured is None
    assert only_case(paid([records[0], record(SEED, 2, 10.0)], USD)).measured is None


def test_a_case_that_was_measured_only_where_no_price_was_known_has_no_cost() -> None:
    records = [record(SEED, 1, 10.0, **on_day(1)), record(SMOKE, 1, 10.0, **on_day(2))]
    found = costs(paid(records, USD, None))
    assert ([one.case_id for one in found.cases], found.unpriced) == ([SEED.id], (SMOKE.id,))


def test_probes_are_left_out_and_a_copy_is_not_charged_again() -> None:
    other = case(dataset="fashion-mnist")
    records = [
        record(SEED, 1, 10.0, **on_day(1)),
        record(other, 1, 10.0, **on_day(1), same_as=SEED.id),
        record(SMOKE, 1, 10.0, **on_day(1), purpose="fit"),
    ]
    own, copy = costs(paid(records, USD)).cases
    assert (own.case_id, own.attempts, own.shared) == (SEED.id, 1, None)
    assert (copy.attempts, copy.measured, copy.shared) == (0, None, SEED.id)
    assert copy.protocol == own.protocol
    assert "0  shared" in re.sub(" {2,}", "  ", render([paid(records, USD)], "table"))


def test_getting_ready_is_apart_for_each_start() -> None:
    found = costs(paid([record(SEED, 1, 10.0, **on_day(1))], USD, None))
    assert found.preparations == (Preparation(120.0, USD), Preparation(120.0, None))
    assert [one.amount for one in found.preparations] == [pytest.approx(0.12), None]


# ------------------------------------------------------------------ what it would cost


def timed(**fields: object) -> dict[str, Timing]:
    figures = {"total_execution_s": 3600.0, "total_inference_s": 36.0, "images_per_s": 1000.0}
    return {"timing": Timing(**{**figures, **fields})}  # type: ignore[arg-type]


def test_the_full_protocol_is_execution_and_inference_of_the_median_repeat() -> None:
    found = only_case(paid(repeats(SEED, 100.0, 400.0, 200.0, **on_day(1)), USD))
    assert found.protocol == Figure(pytest.approx(0.4))


def test_a_prediction_is_marked_and_carries_its_interval() -> None:
    both = timed(
        predicted=("total_execution_s", "total_inference_s"),
        intervals={"total_execution_s": (3500.0, 3800.0), "total_inference_s": (30.0, 40.0)},
    )
    found = only_case(paid([record(SEED, 1, 1.0, **on_day(1), **both)], USD))
    assert found.protocol == Figure(
        pytest.approx(3.636), True, (pytest.approx(3.53), pytest.approx(3.84))
    )
    one = timed(predicted=("total_execution_s",), intervals={"total_execution_s": (3500.0, 3800.0)})
    found = only_case(paid([record(SEED, 1, 1.0, **on_day(1), **one)], USD))
    assert found.protocol == Figure(
        pytest.approx(3.636), True, (pytest.approx(3.536), pytest.approx(3.836))
    )


def test_an_interval_is_carried_only_where_it_is_known() -> None:
    names = ("total_execution_s", "total_inference_s")
    for intervals in ({}, {"total_execution_s": (1.0, 2.0)}, dict.fromkeys(names, (1.0, math.inf))):
        told = timed(predicted=names, intervals=intervals)
        found = only_case(paid([record(SEED, 1, 1.0, **on_day(1), **told)], USD))
        assert found.protocol == Figure(pytest.approx(3.636), True)


def test_measured_repeats_stand_alone_beside_predicted_ones() -> None:
    predicted = timed(predicted=("total_execution_s", "total_inference_s"))
    records = [
        record(SEED, 1, 1.0, **on_day(1), **predicted),
        record(SEED, 2, 100.0, **on_day(1)),
    ]
    assert only_case(paid(records, USD)).protocol == Figure(pytest.approx(0.2))


def test_a_protocol_that_is_cut_short_has_no_cost_of_the_whole() -> None:
    found = only_case(paid([record(SMOKE, 1, 100.0, **on_day(1))], USD))
    assert (found.whole, found.protocol) == (False, None)
    assert found.per_million_images is not None


def test_without_inference_there_is_no_total() -> None:
    told = timed(total_inference_s=None)
    found = only_case(paid([record(SEED, 1, 1.0, **on_day(1), **told)], USD))
    assert found.protocol is None


def test_a_million_images() -> None:
    found = only_case(paid([record(SEED, 1, 1.0, **on_day(1), **timed())], USD))
    assert found.per_million_images == Figure(pytest.approx(1.0))
    found = only_case(paid([record(SEED, 1, 1.0, **on_day(1), **timed(images_per_s=0.0))], USD))
    assert found.per_million_images is None


@given(
    hourly=st.floats(1e-3, 1e4),
    factor=st.floats(1e-3, 1e3),
    total=st.floats(1.0, 1e7),
    seconds=st.floats(0.001, 3000.0),
)
def test_every_cost_scales_with_the_price(
    hourly: float, factor: float, total: float, seconds: float
) -> None:
    known = paid([record(SEED, 1, total, **on_day(1, seconds))], None)

    def amounts(per_hour: float) -> list[float]:
        found = costs(known, Price(per_hour))
        (one,) = found.cases
        assert one.protocol is not None
        assert one.per_million_images is not None
        assert one.measured is not None
        (ready,) = [preparation.amount for preparation in found.preparations]
        assert ready is not None
        return [one.measured, one.protocol.amount, one.per_million_images.amount, ready]

    assert amounts(hourly * factor) == pytest.approx([factor * a for a in amounts(hourly)])


# ------------------------------------------------------------------ in words


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        (0.01324, "0.0132"),
        (12.4, "12.40"),
        (1234.5, "1234.50"),
        (0.5, "0.500"),
        (0.9996, "1.00"),
        (0.09996, "0.100"),
        (0.00001234, "0.0000123"),
        (1e-9, "<0.000001"),
        (0.0, "0.00"),
    ],
)
def test_money_has_the_digits_that_say_something(amount: float, told: str) -> None:
    assert money(amount, "USD") == f"{told} USD"


def test_no_price_is_known_so_nothing_is_shown() -> None:
    unpriced = paid([record(SEED, 1, 100.0, **on_day(1))], None)
    assert run_cost(unpriced, protocols()) is None
    for form in set(FORMATS) - {"json"}:
        text = render([unpriced], form)
        assert "Cost" not in text
        assert "USD" not in text
        assert "an hour" not in text
    assert json.loads(render([unpriced], "json"))["cost"] == []


def test_the_section_word_for_word() -> None:
    found = paid(
        [
            record(SEED, 1, 3600.0, **on_day(1, 90)),
            record(case(model="model-b"), 1, Status.OOM, **on_day(1, 45)),
        ],
        Price(1.29, "EUR"),
    )
    text = render([found], "table")
    section = text[text.index("\nCost\n") : text.index("\n\nVerdict")].splitlines()[2:]
    titles, _, ok, oom, blank, *notes = section
    assert re.split(" {2,}", titles) == HEADERS
    assert ok.split() == f"{SEED.id} 1 0.0323 EUR 2.58 EUR 0.0995 EUR".split()
    assert oom.split() == f"{case(model='model-b').id} 1 0.0161 EUR oom".split()
    assert blank == ""
    assert notes == [
        f"- {ASSUMPTION}",
        "- by-hand: 1.29 EUR an hour; getting ready (data, image, set-up), in no figure above: "
        "0.0430 EUR, 2 min 00 s",
    ]
    assert "## Cost\n\n| case " in render([found], "markdown")


def test_predicted_and_synthetic_figures_are_marked_and_old_runs_say_what_they_lack() -> None:
    told = timed(
        predicted=("total_execution_s",), intervals={"total_execution_s": (3500.0, 3800.0)}
    )
    made = DatasetIdentity(name="synthetic", synthetic=True, sha256="b" * 64)
    one = record(SEED, 1, 1.0, **on_day(1), **told, dataset=made, beside=("another",))
    text = render([paid([one], USD, preparation_s=None)], "table")
    assert "0.0600 USD*" in text
    assert "≈3.64 USD* (3.54 to 3.84)" in text
    assert "in no figure above: not recorded" in text
    assert "cases that ran beside each other are charged the whole machine each" in text


def test_csv_and_junit_stay_as_they_were() -> None:
    records = [record(SEED, 1, 100.0, **on_day(1))]
    for form in ("csv", "junit"):
        assert render([paid(records, USD)], form) == render([paid(records, None)], form)


def test_json_has_each_runs_costs() -> None:
    records = [record(SEED, 1, 3600.0, **on_day(1))]
    (found,) = json.loads(render([paid(records, USD)], "json"))["cost"]
    assert found["price_from"] == "run.json"
    assert found["prices"] == [{"per_hour": 3.6, "currency": "USD"}]
    assert found["preparation"][0]["amount"] == pytest.approx(0.12)
    assert found["cases"][0]["protocol"]["amount"] == pytest.approx(7.2)
    assert found["assumption"] == ASSUMPTION


def test_what_the_reader_names_goes_before_what_the_run_says() -> None:
    known = paid([record(SEED, 1, 3600.0, **on_day(1))], USD)
    named = Priced.at(Price(36.0, "EUR"), known)
    content = json.loads(render([named], "json"))
    assert content["cost"][0]["price_from"] == "--price"
    assert content["cost"][0]["cases"][0]["measured"] == pytest.approx(0.6)
    assert content["runs"][0]["invocations"][0]["price_per_hour"] == 3.6


# ------------------------------------------------------------------ what a run keeps


def test_a_run_keeps_its_price_and_each_start_has_its_own(tmp_path: Path) -> None:
    matrix = "axes: {model: [model-a], dataset: [synthetic]}\n"
    made, _ = prepared(matrix, lambda spec: completing(), tmp_path)
    outcome = run(replace(made, price=Price(1.29), since=0.0), lambda event: None)
    resume(made, outcome.folder, (), lambda event: None)
    first, second = read_run(outcome.folder).info.invocations
    assert (first.price_per_hour, first.currency) == (1.29, "USD")
    assert first.preparation_s is not None
    assert first.preparation_s > 0
    assert (second.price_per_hour, second.currency, second.preparation_s) == (None, None, None)
    assert "1.29 USD an hour" in render([read_run(outcome.folder)], "table")


def test_run_files_with_a_price_that_is_none_are_refused() -> None:
    known = paid([], USD).info.invocations[0].model_dump()
    for wrong in ({"price_per_hour": -1}, {"price_per_hour": math.inf}, {"currency": "usd"}):
        with pytest.raises(ValueError, match="validation error"):
            Invocation.model_validate({**known, **wrong})


# ------------------------------------------------------------------ options


def test_a_price_is_a_number_above_0_in_a_currency() -> None:
    assert asked(None, None) is None
    assert asked(1.29, None) == Price(1.29, "USD")
    assert asked(1.29, "EUR") == Price(1.29, "EUR")


def test_machines_have_one_price_or_each_its_own() -> None:
    assert price_of_each([], None, 3) == [None] * 3
    assert price_of_each([1.29], "EUR", 3) == [Price(1.29, "EUR")] * 3
    assert price_of_each([1.29, 2], None, 2) == [Price(1.29), Price(2)]
    for prices, machines, message in (
        ([1, 2], 3, "given 2 times, and 3 machines measure"),
        ([1, 2], 1, "given 2 times, and 1 machine measures"),
    ):
        with pytest.raises(InputError, match=message):
            price_of_each(prices, None, machines)


@pytest.mark.parametrize(
    ("per_hour", "currency", "message"),
    [
        (0.0, None, "no price per hour"),
        (-1.0, None, "no price per hour"),
        (math.nan, None, "no price per hour"),
        (math.inf, None, "no price per hour"),
        (1.29, "usd", "no currency"),
        (1.29, "EURO", "no currency"),
        (1.29, "EUR\n", "no currency"),
        (None, "EUR", "that of a price"),
    ],
)
def test_bad_prices_are_told_with_what_to_write(
    per_hour: float | None, currency: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        asked(per_hour, currency)
    assert "--price-per-hour" in error.value.next_step


@pytest.mark.parametrize(
    "command", [["matrix", str(SMOKE_MATRIX)], ["bench", "--model=model-a", "--dataset=mnist"]]
)
def test_the_commands_refuse_a_bad_price_before_anything_is_looked_for(command: list[str]) -> None:
    for options in (["--price-per-hour", "-2"], ["--currency", "EUR"]):
        result = CliRunner().invoke(app, [*command, *options])
        assert isinstance(result.exception, InputError)
    assert CliRunner().invoke(app, [*command, "--price-per-hour", "cheap"]).exit_code == 2


def test_prices_with_and_without_their_currency() -> None:
    assert parse_price("1.29") == Price(1.29, "USD")
    assert parse_price("1.29", "EUR") == Price(1.29, "EUR")
    assert parse_price("2 GBP", "EUR") == Price(2.0, "GBP")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs, the first at 3.6 EUR an hour."""
    records = [record(SEED, 1, 3600.0, **on_day(1))]
    first = paid(records, Price(3.6, "EUR"))
    second = paid(records, None)
    for name, one in (("one", first), ("two", second)):
        info = one.info.model_copy(update={"run_id": name})
        written(replace(one, info=info), tmp_path)
    return tmp_path


def reported(results: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments, "--results", str(results)])


def prices(result: Result) -> dict[str, list[object]]:
    """By run: its prices and what its first case cost."""
    assert result.exit_code == 0, result.exception
    return {
        one["run_id"]: [one["prices"][0]["currency"], round(one["cases"][0]["measured"], 6)]
        for one in json.loads(result.output)["cost"]
    }


def test_report_takes_a_price_for_each_run(results: Path) -> None:
    both = ("one", "two", "--format", "json")
    assert prices(reported(results, *both)) == {"one": ["EUR", 0.06]}
    named = reported(results, *both, "--price", "two=36", "--price", f"{results / 'one'}=7.2")
    assert prices(named) == {"one": ["EUR", 0.12], "two": ["USD", 0.6]}
    assert prices(reported(results, "one", "--format=json", "--price", "one=36USD")) == {
        "one": ["USD", 0.6]
    }


def test_report_takes_a_bare_price_where_one_run_is_reported(results: Path) -> None:
    assert prices(reported(results, "--format=json", "--price", "36GBP")) == {"two": ["GBP", 0.6]}
    assert prices(reported(results, "--format=json", "--price", "latest=36")) == {
        "two": ["USD", 0.6]
    }
    text = reported(results, "one", "two", "--price", "latest=36").output
    assert "two: 36 USD an hour (--price); getting ready" in text
    assert "one: 3.6 EUR an hour; getting ready" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "--price", "one=cheap"], "no price per hour"),
        (["one", "--price", "one=-1"], "no price per hour"),
        (["one", "--price", "one=nan"], "no price per hour"),
        (["one", "--price", "one="], "no price per hour"),
        (["one", "--price", ""], "no price per hour"),
        (["one", "--price", "0"], "no price per hour"),
        (["one", "--price", "one=1.29eur"], "no currency"),
        (["one", "--price", "two=1.29"], "not reported"),
        (["one", "--price", "three=1.29"], "no run 'three'"),
        (["one", "two", "--price", "1.29"], "which of the 2 runs"),
        (["one", "--price", "one=1", "--price", "2"], "twice"),
        (["one", "--price", "1.29", "--rows", "model"], "shows no cost"),
    ],
)
def test_bad_prices_of_a_report(results: Path, arguments: list[str], message: str) -> None:
    result = reported(results, *arguments)
    assert isinstance(result.exception, InputError)
    assert message in result.exception.message
    assert result.exception.next_step
    assert isinstance(result.exception, HarnessError)
    assert result.exception.exit_code == 2
