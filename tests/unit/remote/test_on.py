"""Several machines of one command: each is one, and has its own order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from harness.analysis.cost import Price
from harness.cli import on
from harness.errors import InputError
from harness.matrix import Selection, parse
from harness.remote import RunOptions

MATRIX = "axes: {model: [model-a], dataset: [synthetic]}\n"


def measure(machines: dict[str, Price | None]) -> None:
    parsed = (parse(MATRIX), MATRIX, Path("matrix.yaml"))
    on.measure_on(machines, parsed, RunOptions(), Selection(), (None, Path("results")), False)


@pytest.mark.parametrize("other", ["ssh://gpu1/", "SSH://gpu1", "ssh://gpu1//"])
def test_one_machine_is_not_named_twice(other: str) -> None:
    with pytest.raises(InputError, match="--on names ssh://gpu1 twice"):
        measure({"ssh://gpu1": None, "ssh://gpu2": None, other: None})


def test_each_has_its_own_price(monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked:
        label = "the same"

        def begin(self, order: Any) -> Any:
            return order

    prices: list[float] = []

    def follow(makers: Any, work: Any) -> None:
        prices.extend(
            work(number, cast("Any", Asked())).options.price_per_hour
            for number in range(len(makers))
        )

    monkeypatch.setattr(on, "follow", follow)
    measure({"ssh://gpu1": Price(1.0, "EUR"), "ssh://gpu1:23": Price(2.0, "EUR")})
    assert prices == [1.0, 2.0]
