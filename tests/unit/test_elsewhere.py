"""Attempts that other machines make: one run, each machine's figures of themselves."""

from __future__ import annotations

import importlib
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign import Outcome, Prepared, Request, attempts, prepare_elsewhere, resume, run
from harness.cli.prices import priced
from harness.errors import HarnessError, InputError, MachineError
from harness.events import OnEvent, Stopped
from harness.executors import Inline, Lane, Task
from harness.executors.errand import errand, run_errand
from harness.matrix import parse
from harness.model import Device, Memory, PlannedCase, Record, Status
from harness.plan import Means
from harness.report import FORMATS, render
from harness.report.cost import Priced, as_data
from harness.results.history import expected, expected_anywhere
from harness.results.machines import KnownMachine, write_machine
from harness.results.reading import find_machine, read_run
from harness.results.run import JOURNAL, RunInfo
from harness.runner import Place, lost_record
from harness.runtimes.scripted import ScriptedRuntime
from tests.unit.runs import MACHINE, completing
from tests.unit.runs import prepared as here_prepared

catalog_images = importlib.import_module("harness.catalog.images")  # not the function
FOUR = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [8, 16, 32, 64]}
defaults: {protocol: smoke}
"""

RAM = {"left": 16 << 30, "right": 64 << 30, "here": 8 << 30}
DONE = "2026-01-01T00:00:09+00:00"


class Elsewhere:
    """Two scripted machines that take attempts in turn; `loses` says which it loses."""

    name = "scripted-fleet"
    runtime = "auto"
    reason = "two scripted machines"

    def __init__(self, loses: Callable[[Place], bool] = lambda place: False) -> None:
        self.loses = loses
        self.made: list[tuple[str, int]] = []
        self._labels = itertools.cycle(("left", "right"))
        self._lock = threading.Lock()

    def device(self, wish: str) -> Device:
        if wish not in ("auto", "cpu"):
            raise InputError(f"GPU {wish} is one machine's")
        return Device(kind="cpu")

    def lanes(self, tasks: Sequence[Task], parallel: bool) -> Sequence[Lane]:
        return [None, None]

    def rejoin(self, run: Path) -> None:
        """Nothing goes on there without this process."""

    def attempt(
        self, case: PlannedCase, place: Place, on_event: OnEvent, stopped: Stopped
    ) -> Record:
        with self._lock:
            label = next(self._labels)
            self.made.append((case.id, place.repeat))
        if self.loses(place):
            return lost_record(case, self.runtime, place, f"{label} is gone", transient=True)
        there = MACHINE.model_copy(update={"cpu": f"CPU of {label}", "ram": RAM[label]})
        machine = KnownMachine(label=label, machine_hash=label * 9, fingerprint=there)
        write_machine(place.folder, machine)
        playing = Inline(ScriptedRuntime(lambda _spec: completing()))
        return playing.attempt(case, replace(place, machine=label), on_event, stopped)

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        return []


def prepared(results: Path, fleet: Elsewhere) -> Prepared:
    made = prepare_elsewhere(parse(FOUR), FOUR, Request(results=results), fleet, lambda _text: None)
    return replace(made, machine="here", machine_hash="0" * 64)


def measured(results: Path, fleet: Elsewhere) -> Outcome:
    return run(prepared(results, fleet), lambda _event: None)


def test_every_machine_has_a_column_of_its_own_figures(tmp_path: Path) -> None:
    outcome = measured(tmp_path, Elsewhere())
    found = read_run(outcome.folder)
    assert found.info.invocations[0].executor == "scripted-fleet"
    assert set(found.info.machines) == {"left", "right"}
    parts = found.by_machine()
    assert {part.info.machine for part in parts} == {"left", "right"}
    for part in parts:
        label = part.info.machine
        assert part.info.machine_hash == label * 9
        assert part.info.fingerprint.cpu == f"CPU of {label}"
        assert {record.machine for record in part.records} == {label}
        assert len(part.info.cases) == 2
    table = render(parts, "table")
    assert "left" in table
    assert "This machine: right" in table


def test_a_report_says_of_each_case_what_its_own_machine_has(tmp_path: Path) -> None:
    found = read_run(measured(tmp_path, Elsewhere()).folder)
    used = Memory(peak_cgroup_bytes=1 << 30)
    records = tuple(record.model_copy(update={"memory": used}) for record in found.records)
    text = render(replace(found, records=records).by_machine(), "table")
    details = text[text.index("\nDetails\n") :]
    for label, has in (("left", "16.00 GiB"), ("right", "64.00 GiB")):
        rows = [line for line in details.splitlines() if line.split(" ", 1)[0] == label]
        assert len(rows) == 2
        assert all(f"1.00 GiB of {has}" in row for row in rows), rows
    assert text.count("Everything is kept in") == 1


def test_each_machine_of_a_run_has_its_price(tmp_path: Path) -> None:
    folder = measured(tmp_path, Elsewhere()).folder
    parts = read_run(folder).by_machine()

    def shown(*texts: str) -> dict[str, float | None]:
        found = priced(parts, texts, tmp_path)
        return {one.info.machine: one.price.per_hour for one in found if isinstance(one, Priced)}

    each = (f"{folder.name}@left=1.5", f"{folder.name}@right=2")
    assert shown(*each) == {"left": 1.5, "right": 2.0}
    assert shown(each[0]) == {"left": 1.5}
    assert shown("latest=3") == shown("3") == {"left": 3.0, "right": 3.0}
    with pytest.raises(InputError, match="on left twice"):
        shown("3", each[0])
    with pytest.raises(InputError, match=r"measured on (left, right|right, left), not on middle"):
        shown("latest@middle=3")
    text = render(priced(parts, each, tmp_path), "table")
    assert f"- {folder.name}@left: 1.5 USD an hour (--price)" in text
    assert f"- {folder.name}@right: 2 USD an hour (--price)" in text


def test_what_was_measured_again_elsewhere_is_paid_for_where_it_was(tmp_path: Path) -> None:
    found = read_run(measured(tmp_path, Elsewhere()).folder)
    first, *rest = found.records
    other = "right" if first.machine == "left" else "left"

    def lasting(record: Record, hours: int, **changes: object) -> Record:
        times = {"started_at": "2026-01-01T00:00:00+00:00"}
        times["finished_at"] = f"2026-01-01T0{hours}:00:00+00:00"
        return record.model_copy(update={**times, **changes})

    lost = lasting(first, 2, status=Status.INFRA, transient=True)
    again = lasting(first, 1, attempt=2, machine=other)
    run = replace(found, records=(lost, again, *(lasting(record, 1) for record in rest)))
    cost = {
        one["machine"]: sum(case["measured"] for case in one["cases"])
        for one in as_data(priced(run.by_machine(), ["1"], tmp_path))
    }
    assert cost == {first.machine: 3.0, other: 3.0}  # one hour there and the two that were lost
    assert "infra" not in render(run.by_machine(), "table")
    told = [one["preparation"] for one in as_data(priced(run.by_machine(), ["1"], tmp_path))]
    assert [len(one) for one in told] == [1, 0]


def test_a_machine_that_lost_all_it_had_is_a_part_too(tmp_path: Path) -> None:
    found = read_run(measured(tmp_path, Elsewhere()).folder)
    records = tuple(
        record
        for one in found.records
        for record in (
            (one,)
            if one.machine == "left"
            else (
                one.model_copy(update={"status": Status.INFRA}),
                one.model_copy(update={"attempt": 2, "machine": "left"}),
            )
        )
    )
    parts = replace(found, records=records).by_machine()
    assert [(one.info.machine, len(one.standing()), len(one.records)) for one in parts] == [
        ("left", 4, 4),
        ("right", 0, 2),
    ]
    for form in FORMATS:
        assert render(parts, form)


def test_the_later_attempt_stands_wherever_the_journal_has_it(tmp_path: Path) -> None:
    found = read_run(measured(tmp_path, Elsewhere()).folder)
    one = found.records[0]
    later = one.model_copy(update={"attempt": 2})
    for records in ((one, later), (later, one)):
        assert list(replace(found, records=records).standing().values()) == [later]


def test_a_run_on_stand_in_data_goes_on_where_it_was(tmp_path: Path) -> None:
    matrix = FOUR.replace("synthetic", "mnist-10k") + "dataset_fallback: synthetic\n"

    class Lacking(Elsewhere):
        """Its machines have no dataset, as each finds out by itself."""

        def attempt(
            self, case: PlannedCase, place: Place, on_event: OnEvent, stopped: Stopped
        ) -> Record:
            assert case.stand_in_key is not None
            there = replace(case, key=case.stand_in_key)
            return super().attempt(there, place, on_event, stopped)

    def made(fleet: Elsewhere) -> Prepared:
        request = Request(results=tmp_path)
        found = prepare_elsewhere(parse(matrix), matrix, request, fleet, lambda _text: None)
        return replace(found, machine="here", machine_hash="0" * 64)

    first = run(made(Lacking()), lambda _event: None)
    again = Lacking()
    outcome = resume(made(again), first.folder, (), lambda _event: None)
    assert again.made == []
    assert len(outcome.records) == 4


def test_a_run_of_one_machine_is_one_part(tmp_path: Path) -> None:
    fleet = Elsewhere()
    fleet._labels = itertools.repeat("here")  # type: ignore[assignment]
    found = read_run(measured(tmp_path, fleet).folder)
    assert found.info.machines == {}
    assert found.by_machine() == [found]


def test_what_a_machine_took_with_it_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "FIRST_WAIT_S", 0.01)
    outcome = measured(tmp_path, Elsewhere(lambda place: place.attempt == 1))
    assert [record.attempt for record in outcome.records] == [2] * 4
    assert outcome.as_expected
    statuses = [record.status for record in read_run(outcome.folder).records]
    assert sorted(statuses) == [Status.INFRA] * 4 + [Status.OK] * 4


def test_a_run_that_broke_off_goes_on_and_knows_the_machines_again(tmp_path: Path) -> None:
    first = measured(tmp_path, Elsewhere())
    journal = first.folder / JOURNAL
    journal.write_text("")  # every attempt has its record.json: all are taken up
    info = RunInfo.model_validate_json((first.folder / "run.json").read_text())
    (first.folder / "run.json").write_text(
        info.model_copy(update={"machines": {}}).model_dump_json()
    )
    fleet = Elsewhere()
    outcome = resume(prepared(tmp_path, fleet), first.folder, (), lambda _event: None)
    assert fleet.made == []
    assert len(outcome.records) == 4
    assert set(read_run(first.folder).info.machines) == {"left", "right"}


def test_keys_are_those_that_a_machine_itself_plans(tmp_path: Path) -> None:
    there, _ = here_prepared(FOUR, lambda _spec: completing(), tmp_path)
    planned = prepared(tmp_path, Elsewhere()).planned
    assert [case.key for case in planned] == [case.key for case in there.planned]
    assert [case.spec for case in planned] == [case.spec for case in there.planned]


def test_another_workload_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    planned = prepared(tmp_path, Elsewhere()).planned[0]
    place = Place("run", "here", 1, 1, tmp_path)
    sent = errand(planned, place, Means("local", tmp_path))
    assert sent == type(sent).model_validate_json(sent.model_dump_json())
    changed = sent.model_copy(update={"workload": "0" * 64})
    with pytest.raises(MachineError, match="measures another benchmark"):
        run_errand(changed, tmp_path, lambda _event: None, lambda: False)


def test_the_senders_own_images_go_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = prepared(tmp_path, Elsewhere()).planned[0]
    place = Place("run", "here", 1, 1, tmp_path)
    mine = planned.case.model_copy(update={"image": "mine"})
    catalog = tmp_path / "mine.toml"
    catalog.write_text('[images.mine]\nreference = "me/tf:1"\nframework = "tensorflow"\n')
    with monkeypatch.context() as patch:
        patch.setenv("HARNESS_IMAGES", str(catalog))
        means = Request(runtime="local", results=tmp_path).means(parse(FOUR))
    sent = errand(replace(planned, case=mine), place, means)
    monkeypatch.setattr(catalog_images, "_sent", None)
    try:
        assert "mine" not in catalog_images.images()
        lacking = sent.model_copy(update={"images": None})
        with pytest.raises(MachineError, match="knows no image mine"):
            run_errand(lacking, tmp_path, lambda _event: None, lambda: False)
        with pytest.raises(HarnessError) as refused:  # later: an interpreter needs no image
            run_errand(sent, tmp_path, lambda _event: None, lambda: False)
        assert "image mine" in refused.value.message
        assert catalog_images.images()["mine"].reference == "me/tf:1"
    finally:
        monkeypatch.undo()
        catalog_images.images.cache_clear()
        catalog_images.bases.cache_clear()


def test_what_only_one_machine_could_understand_is_refused(tmp_path: Path) -> None:
    request = Request(gpus=("0",), results=tmp_path)
    with pytest.raises(InputError, match="one machine's"):
        prepare_elsewhere(parse(FOUR), FOUR, request, Elsewhere(), lambda _text: None)


def test_one_machine_of_several_is_named_where_runs_are_compared(tmp_path: Path) -> None:
    outcome = measured(tmp_path, Elsewhere())
    name = outcome.folder.name
    assert find_machine(f"{name}@left", tmp_path).info.machine == "left"
    with pytest.raises(InputError, match=r"measured on (left, right|right, left)$"):
        find_machine(name, tmp_path)
    with pytest.raises(InputError, match="not on middle"):
        find_machine(f"{name}@middle", tmp_path)


def test_what_other_machines_took_is_not_expected_of_this_one(tmp_path: Path) -> None:
    measured(tmp_path, Elsewhere())
    assert expected(tmp_path, "0" * 64) == {}
    alone = Elsewhere()
    alone._labels = itertools.repeat("here")  # type: ignore[assignment]
    measured(tmp_path, alone)
    assert len(expected(tmp_path, "0" * 64)) == 4


def test_what_any_machine_took_gives_a_fleet_its_order(tmp_path: Path) -> None:
    fleet = Elsewhere()
    fleet.lanes = lambda tasks, parallel: [None]  # type: ignore[method-assign]
    first = measured(tmp_path, fleet)
    assert len(expected_anywhere(tmp_path)) == 4
    records = read_run(first.folder).records
    with (first.folder / JOURNAL).open("w") as file:
        for n, record in enumerate(records):
            took = {"started_at": f"2026-01-01T00:00:0{4 - n}+00:00", "finished_at": DONE}
            file.write(record.model_copy(update=took).model_dump_json() + "\n")
    fleet.made.clear()
    measured(tmp_path, fleet)
    assert [case for case, _ in fleet.made] == [record.case_id for record in reversed(records)]


def test_another_login_node_may_go_on(tmp_path: Path) -> None:
    first = measured(tmp_path, Elsewhere())
    journal = first.folder / JOURNAL
    journal.write_text(journal.read_text().partition("\n")[0] + "\n")
    for record in first.folder.glob("cases/*/r1/a1/record.json"):
        record.unlink()
    before = read_run(first.folder).info
    fleet = Elsewhere()
    other = replace(
        prepared(tmp_path, fleet),
        machine="other",
        machine_hash="1" * 64,
        fingerprint=MACHINE.model_copy(update={"cpu": "CPU of other"}),
    )
    outcome = resume(other, first.folder, (), lambda _event: None)
    assert len(fleet.made) == 3
    assert len(outcome.records) == 4
    info = read_run(first.folder).info
    assert (info.machine, info.machine_hash) == ("here", "0" * 64)
    assert info.fingerprint == before.fingerprint
    assert len(info.invocations) == 2
    measuring = replace(other, placed=replace(other.placed, elsewhere=False))
    with pytest.raises(InputError, match="begun on another machine"):
        resume(measuring, first.folder, (), lambda _event: None)
