"""The search for the largest batch, over memory curves that a script plays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.fit.search import Found, Probe, next_batch, sizes

MOST = 4096
GIB = 1 << 30
Curve = Callable[[int], int]


def searched(
    needed: Curve,
    limit: int,
    *,
    known_limit: int | None = None,
    peaks: bool = True,
    pressure_from: int | None = None,
    most: int = MOST,
    before: Sequence[Probe] = (),
) -> list[Probe]:
    """All probes of a search on a machine of `limit` bytes."""
    probes = list(before)
    while (batch := next_batch(probes, known_limit, most)) is not None:
        assert batch not in [probe.batch for probe in probes], "tried twice"
        assert len(probes) < 40, "does not end"
        needs = needed(batch)
        if needs > limit:
            probes.append(Probe(batch, Found.OOM))
            continue
        presses = pressure_from is not None and needs > pressure_from
        found = Found.PRESSURE if presses else Found.OK
        probes.append(Probe(batch, found, needs if peaks else None))
    return probes


def largest(probes: Sequence[Probe]) -> int:
    return max((probe.batch for probe in probes if probe.fits), default=0)


def fitting(needed: Curve, limit: int, most: int = MOST) -> int:
    """The truth: the largest of the sizes that fits."""
    return max((size for size in sizes(most) if needed(size) <= limit), default=0)


def test_the_sizes_are_close_to_each_other() -> None:
    grid = sizes(MOST)
    assert grid[:16] == list(range(1, 17))
    assert {8, 12, 64, 96, 112, 128, 256, MOST} <= set(grid)
    assert all(after - size <= max(1, size / 16) for size, after in pairwise(grid))
    assert sizes(100)[-1] == 100
    assert sizes(1) == [1]


@given(
    fixed=st.integers(0, 8 * GIB),
    each=st.integers(1 << 14, 4 * GIB),
    limit=st.integers(64 << 20, 80 * GIB),
)
@example(fixed=0, each=GIB, limit=17 * GIB)
@example(fixed=0, each=GIB, limit=23 * GIB)
@example(fixed=8 * GIB, each=GIB, limit=GIB)
def test_a_line_needs_six_probes_and_is_never_wrong(fixed: int, each: int, limit: int) -> None:
    def needed(batch: int) -> int:
        return fixed + each * batch

    probes = searched(needed, limit, known_limit=limit)
    assert largest(probes) == fitting(needed, limit)
    assert len(probes) <= 6, probes


@given(
    fixed=st.integers(0, 4 * GIB),
    each=st.integers(1 << 16, GIB),
    limit=st.integers(1 * GIB, 80 * GIB),
    lost=st.floats(0.85, 1.0),
)
def test_a_limit_that_is_somewhat_smaller_than_told_costs_few_probes(
    fixed: int, each: int, limit: int, lost: float
) -> None:
    """The pool of a GPU is smaller than its memory: fragments, and what the driver keeps."""

    def needed(batch: int) -> int:
        return fixed + each * batch

    true = int(limit * lost)
    probes = searched(needed, true, known_limit=limit)
    assert largest(probes) == fitting(needed, true)
    assert len(probes) <= 16, probes


@pytest.mark.parametrize(("most", "allowed"), [(512, 10), (MOST, 12)])
@pytest.mark.parametrize("bend", [60, 100, 130, 200, 400])
def test_a_line_that_is_flat_at_first_costs_few_probes(bend: int, most: int, allowed: int) -> None:
    """Up to some batch, reading data needs more than a step does."""

    def needed(batch: int) -> int:
        return (380 << 20) + 40_000 * batch + max(0, batch - bend) * (5 << 18)

    probes = searched(needed, 450 << 20, known_limit=450 << 20, most=most)
    assert largest(probes) == fitting(needed, 450 << 20, most)
    assert len(probes) <= allowed, [probe.batch for probe in probes]


@st.composite
def rising(draw: st.DrawFn) -> Curve:
    """Any memory curve that does not fall."""
    knots = sorted(draw(st.lists(st.integers(0, 40 * GIB), min_size=2, max_size=8)))
    places = sorted(draw(st.sets(st.integers(1, MOST), min_size=len(knots), max_size=len(knots))))

    def needed(batch: int) -> int:
        below = [n for n, place in enumerate(places) if place <= batch]
        return knots[below[-1]] if below else 0

    return needed


@given(
    needed=rising(),
    limit=st.integers(1, 40 * GIB),
    told=st.none() | st.integers(1, 80 * GIB),
    peaks=st.booleans(),
    most=st.integers(1, MOST),
)
def test_any_rising_curve_is_found_right_whatever_is_known_of_it(
    needed: Curve, limit: int, told: int | None, peaks: bool, most: int
) -> None:
    probes = searched(needed, limit, known_limit=told, peaks=peaks, most=most)
    assert largest(probes) == fitting(needed, limit, most)
    failed = [probe.batch for probe in probes if not probe.fits]
    if failed:  # the smallest that fails is the next of the sizes
        grid = sizes(most)
        assert grid.index(min(failed)) == (
            grid.index(largest(probes)) + 1 if largest(probes) else 0
        )
    assert len(probes) <= 24


@given(st.data())
def test_it_ends_whatever_the_probes_say(data: st.DataObject) -> None:
    """Chance decides near the limit: a batch may fit although a smaller one did not."""
    probes: list[Probe] = []
    most = data.draw(st.integers(1, MOST))
    while (batch := next_batch(probes, 8 * GIB, most)) is not None:
        assert batch not in [probe.batch for probe in probes]
        assert 1 <= batch <= most
        peak = data.draw(st.none() | st.integers(0, 16 * GIB))
        probes.append(Probe(batch, data.draw(st.sampled_from(Found)), peak))
    assert len(probes) <= len(sizes(most))


@given(
    each=st.integers(1 << 20, GIB),
    limit=st.integers(GIB, 40 * GIB),
    share=st.floats(0.3, 1.0),
)
def test_pressure_is_told_apart_to_the_same_resolution(each: int, limit: int, share: float) -> None:
    from_ = int(limit * share)
    probes = searched(lambda n: each * n, limit, known_limit=limit, pressure_from=from_)
    ok = max((p.batch for p in probes if p.found is Found.OK), default=0)
    assert ok == fitting(lambda n: each * n, min(from_, limit)) or not any(
        p.found is Found.PRESSURE for p in probes
    )
    assert largest(probes) == fitting(lambda n: each * n, limit)


@given(cut=st.integers(0, 6), each=st.integers(1 << 20, GIB), limit=st.integers(GIB, 40 * GIB))
def test_what_was_tried_before_is_not_tried_again(cut: int, each: int, limit: int) -> None:
    whole = searched(lambda n: each * n, limit, known_limit=limit)
    again = searched(lambda n: each * n, limit, known_limit=limit, before=whole[:cut])
    assert again == whole


@pytest.mark.parametrize(
    ("limit_batches", "tried"),
    [
        (10_000, [16, 64, 4096]),
        (1000, [16, 64, 992, 1024]),
        (100, [16, 64, 100, 104]),
        (40, [16, 64, 4, 40, 42]),
        (0.5, [16, 4, 1]),
    ],
)
def test_the_way_it_goes(limit_batches: float, tried: list[int]) -> None:
    limit = int(limit_batches * GIB)
    probes = searched(lambda n: n * GIB, limit, known_limit=limit)
    assert [probe.batch for probe in probes] == tried


def test_without_figures_it_goes_up_fourfold_and_halves() -> None:
    probes = searched(lambda n: n, 100, peaks=False)
    assert [probe.batch for probe in probes] == [16, 64, 256, 128, 96, 112, 104, 100]
