"""``harness fit`` on the scripted runtime: a real run folder, no container."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.fit import Fit
from harness.campaign import run
from harness.errors import InputError
from harness.events import Event
from harness.fit import FORMATS, Answer, Question
from harness.fit.candidates import Candidates
from harness.fit.finding import Search
from harness.fit.room import Memory, Room, room_for
from harness.model import Exit, LaunchSpec, Status
from harness.report import render
from harness.results.reading import read_run
from harness.runtimes.scripted import Script, ScriptedRuntime
from tests.unit.runs import completing, failing, infer, prepared, train

GIB = 1 << 30
CONTENT = {
    "axes": {"model": ["model-a"], "dataset": ["synthetic"]},
    "defaults": {"framework": "tensorflow"},
}
BFC = room_for("tensorflow", "cpu", Memory(asked=6 * GIB, in_all=None, free=16 * GIB))
RESOURCE_EXHAUSTED = (
    b"tensorflow.python.framework.errors_impl.ResourceExhaustedError: "
    b"OOM when allocating tensor with shape[96,64,32,32] and type float on "
    b"/job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu_bfc\n"
)
RAN_SHORT = (
    b"2026-01-01 00:00:00.0: W tensorflow/core/common_runtime/bfc_allocator.cc:312] Allocator "
    b"(cpu_bfc) ran out of memory trying to allocate 2.29GiB with freed_by_count=0. The caller "
    b"indicates that this is not a failure, but this may mean that there could be performance "
    b"gains if more memory were available.\n"
)


def batch_of(spec: LaunchSpec) -> int:
    return int(json.loads((spec.out / "spec.json").read_text())["batch_size"])


def memory_of(batch: int) -> int:
    return GIB + batch * (GIB // 20)


def card(limit: int = 6 * GIB, pressure_from: int | None = None) -> Callable[[LaunchSpec], Script]:
    """A machine on which a batch needs `memory_of` it, and has `limit`."""

    def play(spec: LaunchSpec) -> Script:
        needs = memory_of(batch_of(spec))
        if needs > limit:
            return failing(1, RESOURCE_EXHAUSTED)
        peaks = {"peak_device_bytes": needs, "peak_host_bytes": 2 * GIB}
        figures = {"measured": "fit", "total_execution_s": None, "memory": peaks}
        told = [RAN_SHORT] if pressure_from is not None and needs > pressure_from else []
        return completing(
            *told,
            train=train(**figures),
            infer=infer(total_inference_s=None, **figures),
        )

    return play


def asked(
    results: Path,
    scripts: Callable[[LaunchSpec], Script],
    going_on: Path | None = None,
    room: Room = BFC,
    events: list[Event] | None = None,
    **more: Any,
) -> tuple[Answer, ScriptedRuntime]:
    question = Question(CONTENT, **more)
    candidates = Candidates(CONTENT, room)
    made, runtime = prepared(candidates.matrix()[1], scripts, results)
    search = Search(made, candidates, question)
    heard = [] if events is None else events
    return search.answer(search.go(going_on, (heard.append, lambda: False))), runtime


def test_it_finds_the_boundary_in_few_probes(tmp_path: Path) -> None:
    answer, runtime = asked(tmp_path, card())
    assert answer.fit == Fit(ok=100, oom=104)
    assert str(answer.fit) == "largest batch 100 (ok), 104 OOM"
    assert [batch_of(attempt.spec) for attempt in runtime.attempts] == [16, 64, 100, 104]
    assert answer.settled
    assert answer.ended is None


def test_each_probe_is_an_ordinary_record_of_a_run(tmp_path: Path) -> None:
    answer, _ = asked(tmp_path, card())
    run = read_run(answer.folder)
    assert run.records == answer.records
    assert {record.purpose for record in run.records} == {"fit"}
    assert [case.id for case in run.info.cases] == [record.case_id for record in run.records]
    assert set(run.info.ingredients) == {case.id for case in run.info.cases}
    assert run.info.invocations[-1].finished_at is not None
    for record in run.records:
        folder = answer.folder / "cases" / record.case_id / "r1" / "a1"
        spec = json.loads((folder / "spec.json").read_text())
        assert spec["measure"] == record.case.measure == "fit"
        assert spec["batch_size"] == record.case.batch_size
        assert (folder / "record.json").is_file()
        assert record.case_key
        assert record.timing.total_execution_s is None
    assert len({record.case_key for record in run.records}) == len(run.records)


def test_pressure_is_told_apart(tmp_path: Path) -> None:
    answer, _ = asked(tmp_path, card(pressure_from=int(5.2 * GIB)))
    assert answer.fit == Fit(ok=84, pressure=100, oom=104)
    assert str(answer.fit) == "largest batch 84 (ok), 100 (pressure), 104 OOM"


def test_no_batch_holds_more_images_than_there_are(tmp_path: Path) -> None:
    answer, _ = asked(tmp_path, card(limit=1 << 50), max_batch=10**6)
    spec = json.loads(next(answer.folder.glob("cases/*/r1/a1/spec.json")).read_text())
    assert answer.most == spec["dataset"]["train"]["count"]
    assert answer.fit == Fit(ok=answer.most)


def test_what_fails_otherwise_ends_it_with_the_reason(tmp_path: Path) -> None:
    def broken(spec: LaunchSpec) -> Script:
        batch = batch_of(spec)
        return failing(3, b"ValueError: no such layer\n") if batch > 16 else card()(spec)

    answer, runtime = asked(tmp_path, broken)
    assert not answer.settled
    assert answer.ended is not None
    assert answer.ended.startswith("batch 64 ended failed: ")
    assert "ValueError: no such layer" in answer.ended
    assert answer.fit == Fit(ok=16)
    assert len(runtime.attempts) == 2


def test_what_an_engine_in_trouble_could_not_remove_is_swept_at_the_end(tmp_path: Path) -> None:
    def refused_once(spec: LaunchSpec) -> Script:
        refused.append(spec.out)
        if len(refused) == 1:
            return Script(refuses="the engine does not answer", transient=True)
        return card()(spec)

    refused: list[Path] = []
    answer, runtime = asked(tmp_path / "a", refused_once)
    assert answer.settled
    assert runtime.swept[-1] == {"harness.run": answer.folder.name}
    assert asked(tmp_path / "b", card())[1].swept == []


def test_the_container_killed_at_its_limit_is_host_memory(tmp_path: Path) -> None:
    room = room_for("torch", "cpu", Memory(asked=6 * GIB, in_all=None, free=16 * GIB))

    def play(spec: LaunchSpec) -> Script:
        if batch_of(spec) > 20:
            return Script(exit=Exit(code=137, oom_killed=True))
        return card()(spec)

    answer, runtime = asked(tmp_path, play, room=room)
    assert str(answer.fit) == "largest batch 20 (ok), 21 host OOM"
    assert {attempt.spec.memory_limit for attempt in runtime.attempts} == {6 * GIB}


def test_it_stops_at_the_most_probes_and_goes_on_without_repeating(tmp_path: Path) -> None:
    first, _ = asked(tmp_path, card(), probes=3)
    assert not first.settled
    assert first.ended is not None
    assert "--max-probes" in first.ended
    assert first.fit == Fit(ok=100)
    events: list[Event] = []
    second, runtime = asked(tmp_path, card(), going_on=first.folder, events=events)
    assert second.folder == first.folder
    assert second.fit == Fit(ok=100, oom=104)
    assert [batch_of(attempt.spec) for attempt in runtime.attempts] == [104]
    assert len(read_run(first.folder).info.invocations) == 2


def test_a_probe_that_broke_off_is_made_again(tmp_path: Path) -> None:
    first, _ = asked(tmp_path, lambda _: failing(9))
    assert first.records[-1].status is Status.FAILED
    second, runtime = asked(tmp_path, card(), going_on=first.folder)
    assert second.fit == Fit(ok=100, oom=104)
    assert batch_of(runtime.attempts[0].spec) == 16


def test_a_run_of_another_case_is_refused(tmp_path: Path) -> None:
    first, _ = asked(tmp_path, card(), probes=1)
    larger = room_for("tensorflow", "cpu", Memory(asked=8 * GIB, in_all=None, free=16 * GIB))
    with pytest.raises(InputError, match="no search for the batch of this very case"):
        asked(tmp_path, card(), going_on=first.folder, room=larger)


def test_the_answer_as_text_and_as_json(tmp_path: Path) -> None:
    answer, _ = asked(tmp_path, card())
    told = FORMATS["text"](answer)
    assert told.splitlines()[-1] == "largest batch 100 (ok), 104 OOM"
    assert "1.80 GiB" in told
    data = json.loads(FORMATS["json"](answer))
    assert (data["largest_batch"], data["ok"], data["oom"]) == (100, 100, 104)
    assert [probe["status"] for probe in data["probes"]] == ["ok", "ok", "ok", "oom"]
    assert data["probes"][0]["peak_bytes"] == memory_of(16)
    assert data["memory"]["bytes"] == 6 * GIB


# ------------------------------------------------------------------ the room


def test_what_holds_each_framework_to_its_memory() -> None:
    memory = Memory(asked=6 * GIB, in_all=24 * GIB, free=16 * GIB)
    assert BFC.env == {"TF_CPU_ALLOCATOR_USE_BFC": "true", "TF_CPU_BFC_MEM_LIMIT_IN_MB": "6144"}
    for framework in ("tensorflow", "torch"):
        room = room_for(framework, "gpu", memory)
        assert (room.device_memory, room.memory_limit, room.env) == (6 * GIB, None, {})
    jax = room_for("jax", "gpu", memory)
    assert jax.env == {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.2500"}
    for framework in ("jax", "torch"):
        room = room_for(framework, "cpu", memory)
        assert (room.memory_limit, room.on_device, room.env) == (6 * GIB, False, {})


def test_without_a_size_it_is_all_of_the_gpu_or_what_is_free() -> None:
    memory = Memory(asked=None, in_all=24 * GIB, free=16 * GIB)
    assert room_for("tensorflow", "gpu", memory).limit == 24 * GIB
    assert room_for("tensorflow", "cpu", memory).memory_limit == 16 * GIB


@pytest.mark.parametrize(
    ("framework", "asked_for", "in_all", "said"),
    [
        ("tensorflow", 1 << 20, None, "no case starts"),
        ("tensorflow", 32 * GIB, 24 * GIB, "more than the GPU's"),
        ("jax", 6 * GIB, None, "nothing tells how much"),
    ],
)
def test_memory_that_cannot_be_had(
    framework: str, asked_for: int, in_all: int | None, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        room_for(framework, "gpu", Memory(asked_for, in_all, GIB))


def test_a_gpu_case_tells_the_workload_of_its_pool(tmp_path: Path) -> None:
    room = room_for("torch", "gpu", Memory(asked=6 * GIB, in_all=24 * GIB, free=GIB))
    candidates = Candidates(CONTENT, room)
    made, _ = prepared(candidates.matrix()[1], lambda _: Script(), tmp_path)
    probe = candidates.at(made.planned[0], 96)
    assert probe.spec["device_memory_bytes"] == 6 * GIB
    assert probe.case.overrides == {"batch_size": 96, "device_memory": 6 * GIB}
    whole = Candidates(CONTENT, replace(room, device_memory=None)).at(made.planned[0], 96)
    assert whole.key != probe.key
    assert whole.id != probe.id


# ------------------------------------------------------------------ the report


def test_a_report_keeps_probes_apart_from_what_was_measured(tmp_path: Path) -> None:
    answer, _ = asked(tmp_path, card())
    probed = read_run(answer.folder)
    told = render([probed], "table")
    assert "largest batch 100 (ok), 104 OOM (4 probes)" in told
    assert "Total execution time" not in told
    made, _ = prepared(
        "axes: {model: [model-a], dataset: [synthetic]}", lambda _: completing(), tmp_path
    )
    together = [read_run(run(made, lambda _: None).folder), probed]
    both = render(together, "table")
    assert "Total execution time" in both
    assert "What fits\n- model-a synthetic tensorflow reference float32" in both
    cells, _, fits = both.partition("What fits")
    assert "_fit_" not in cells
    assert "_fit_" in fits  # the verdict rests on it
    assert render(together, "junit").count("<testcase") == 1
    assert {one["case_id"] for one in json.loads(render(together, "json"))["summary"]} == {
        made.cases[0].id
    }
