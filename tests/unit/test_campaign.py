from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest

from harness.campaign import run
from harness.errors import InputError, MachineError
from harness.events import CaseFinished, CaseStarted, Event, MemoryEventSeen, PhaseStarted, Progress
from harness.model import Device, LaunchSpec, Status
from harness.results.reading import find_run, read_run
from harness.results.run import RunFolder, is_alive
from harness.runtimes.scripted import Script, ScriptedAttempt, ScriptedRuntime
from tests.unit.runs import completing, failing, infer, prepared, train
from tests.unit.test_logs import HARD, RECOVERABLE

ONE = "axes: {model: [model-a], dataset: [synthetic]}\ndefaults: {protocol: smoke}\n"
STUDY = """
axes: {model: [model-a, model-b], dataset: [mnist, fashion-mnist]}
dataset_fallback: synthetic
"""


def ignore(event: Event) -> None:
    del event


def test_a_case_goes_from_script_to_record(tmp_path: Path) -> None:
    made, runtime = prepared(ONE, lambda spec: completing(), tmp_path)
    events: list[Event] = []
    outcome = run(made, events.append)
    (record,) = outcome.records
    assert outcome.as_expected
    assert (record.status, record.reason) == (Status.OK, "")
    assert record.timing.total_execution_s == 100.0
    assert record.timing.total_inference_s == 5.0
    assert record.timing.blocks == {"train": 4, "validation": 0, "predict": 1}
    assert record.image.reference is None
    assert record.versions["keras"] == "3.3.2"
    assert record.software_key is not None
    assert record.memory.peak_host_bytes == 1 << 30
    assert [type(event) for event in events] == [CaseStarted, PhaseStarted, Progress, CaseFinished]
    assert events[2] == Progress(record.case_id, "train", 1, 2, 8, 32, 640.0)
    assert runtime.attempts[0].removed
    kept = read_run(outcome.folder)
    assert kept.records == outcome.records
    assert kept.info.invocations[0].runtime_reason == "the test says so"
    assert kept.info.invocations[0].finished_at is not None
    attempt = outcome.folder / "cases" / record.case_id / "r1" / "a1"
    assert {path.name for path in attempt.iterdir()} == {
        "spec.json",
        "log.txt",
        "record.json",
        "timing-train.json",
        "timing-infer.json",
        "telemetry.csv",
    }


def test_cases_that_have_become_the_same_are_measured_once_and_shown_in_each_cell(
    tmp_path: Path,
) -> None:
    made, runtime = prepared(STUDY, lambda spec: completing(), tmp_path)
    outcome = run(made, ignore)
    assert len(runtime.attempts) == 2
    assert len(outcome.records) == 4
    assert [record.case.dataset for record in outcome.records] == ["mnist", "fashion-mnist"] * 2
    assert {record.dataset.name for record in outcome.records} == {"synthetic"}
    assert all(record.dataset.synthetic for record in outcome.records)
    first, second = outcome.records[:2]
    assert (first.same_as, second.same_as) == (None, first.case_id)
    assert first.case_key == second.case_key
    assert first.timing == second.timing


def test_each_repeat_is_measured_and_kept_apart(tmp_path: Path) -> None:
    totals = iter([100.0, 110.0, 90.0])
    made, runtime = prepared(
        ONE + "repeats: 3\n", lambda spec: completing(train=train(next(totals))), tmp_path
    )
    outcome = run(made, ignore)
    assert [(r.repeat, r.timing.total_execution_s) for r in outcome.records] == [
        (1, 100.0),
        (2, 110.0),
        (3, 90.0),
    ]
    assert [spec.spec.labels["harness.attempt"] for spec in runtime.attempts] == [
        "r1.a1",
        "r2.a1",
        "r3.a1",
    ]


def test_failures_are_results_and_the_run_goes_on(tmp_path: Path) -> None:
    scripts = iter(
        [
            completing(RECOVERABLE + b"\n"),
            failing(1, HARD + b"\n", b"ResourceExhaustedError\n"),
            Script(refuses="the engine went away"),
            failing(3, b"Traceback\n", b"ValueError: no such thing"),
        ]
    )
    matrix = STUDY.replace("dataset_fallback: synthetic", "").replace("mnist", "synthetic", 1)
    matrix = matrix.replace(", fashion-mnist", "").rstrip() + "\ndefaults: {protocol: smoke}\n"
    matrix = matrix.replace("dataset: [synthetic]", "dataset: [synthetic], batch_size: [8, 9]")
    made, runtime = prepared(matrix, lambda spec: next(scripts), tmp_path)
    seen: list[Event] = []
    outcome = run(made, seen.append)
    assert [record.status.value for record in outcome.records] == [
        "pressure",
        "oom",
        "infra",
        "failed",
    ]
    pressure, oom, infra, failed = outcome.records
    assert pressure.memory.pressure_events == 1
    assert pressure.memory.largest_request_bytes == 3672197038
    assert "800.00 MiB" in oom.reason
    assert infra.reason == "the engine went away"
    assert failed.reason == "ended with exit code 3: ValueError: no such thing"
    assert failed.timing.total_execution_s is None
    assert not outcome.as_expected
    assert sum(isinstance(event, MemoryEventSeen) for event in seen) == 2
    assert all(attempt.removed for attempt in runtime.attempts)


def test_a_gpu_case_that_computed_on_the_cpu_has_no_figures(tmp_path: Path) -> None:
    card = Device(kind="gpu", name="RTX 2060", uuid="GPU-1")
    made, _ = prepared(ONE, lambda spec: completing(), tmp_path, card)
    (record,) = run(made, ignore).records
    assert record.status is Status.FAILED
    assert "asked for the GPU RTX 2060" in record.reason
    assert record.timing.total_execution_s is None
    assert record.timing.images_per_s is None
    assert record.device.kind == "cpu"
    assert record.device.uuid is None


def test_a_phase_that_finished_keeps_its_figures_when_the_next_one_fails(tmp_path: Path) -> None:
    whole = completing()
    broken = Script(
        steps=whole.steps,
        files={k: v for k, v in whole.files.items() if "train" in k},
        exit=failing(139).exit,
    )
    made, _ = prepared(ONE, lambda spec: broken, tmp_path)
    (record,) = run(made, ignore).records
    assert record.status is Status.FAILED
    assert record.timing.total_execution_s == 100.0
    assert record.timing.total_inference_s is None


def test_a_time_limit_ends_a_case_and_says_so(tmp_path: Path) -> None:
    made, runtime = prepared(ONE + "timeout: 1s\n", lambda spec: Script(steps=(30.0,)), tmp_path)
    started = time.monotonic()
    (record,) = run(made, ignore).records
    assert record.status is Status.TIMEOUT
    assert record.exit.killed_because == "over its time limit of 1 s"
    assert time.monotonic() - started < 10
    assert runtime.attempts[0].removed


def test_ctrl_c_ends_the_case_as_interrupted_and_keeps_what_was_measured(tmp_path: Path) -> None:
    scripts = iter([completing(), Script(steps=(b"working\n", 30.0))])
    made, runtime = prepared(ONE + "repeats: 3\n", lambda spec: next(scripts), tmp_path)
    asked = threading.Event()

    def press_ctrl_c(event: Event) -> None:
        if isinstance(event, CaseStarted) and event.number == 2:
            threading.Timer(0.3, asked.set).start()

    outcome = run(made, press_ctrl_c, asked.is_set)
    assert outcome.interrupted
    assert not outcome.as_expected
    assert [record.status for record in outcome.records] == [Status.OK, Status.INTERRUPTED]
    assert outcome.records[1].exit.killed_because == "stopped by the user"
    assert read_run(outcome.folder).records == outcome.records
    assert read_run(outcome.folder).info.invocations[0].finished_at is not None
    assert all(attempt.removed for attempt in runtime.attempts)


@pytest.mark.parametrize("moment", ["start", "result", "remove"])
def test_ctrl_c_at_an_awkward_moment_loses_no_finished_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    asked = threading.Event()
    place = ScriptedRuntime if moment == "start" else ScriptedAttempt
    real = getattr(place, moment)

    def pressed(*arguments: object) -> object:
        done = real(*arguments)
        asked.set()
        return done

    monkeypatch.setattr(place, moment, pressed)
    made, runtime = prepared(ONE + "repeats: 3\n", lambda spec: completing(), tmp_path)
    outcome = run(made, ignore, asked.is_set)
    assert outcome.interrupted
    (record,) = read_run(outcome.folder).records
    assert record.status is (Status.INTERRUPTED if moment == "start" else Status.OK)
    assert runtime.attempts[0].removed


def test_a_full_disk_under_the_log_is_infra_and_the_container_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.runner import attempt

    monkeypatch.setattr(attempt, "LOG_FILE", "/dev/full")
    made, runtime = prepared(ONE, lambda spec: completing(b"x" * 100_000 + b"\n"), tmp_path)
    (record,) = run(made, ignore).records
    assert record.status is Status.INFRA
    assert record.reason.startswith("the log could not be written: No space left on device")
    assert record.resource == "disk"
    assert runtime.attempts[0].removed


def test_a_second_harness_on_a_run_folder_is_refused(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    assert not is_alive(folder.path)
    with folder.locked():
        assert is_alive(folder.path)
        with pytest.raises(InputError, match="another harness"), RunFolder(folder.path).locked():
            pass
    assert not is_alive(folder.path)
    assert not is_alive(tmp_path / "gone")


def test_a_run_folder_that_goes_away_is_one_clear_error(tmp_path: Path) -> None:
    import shutil

    def script(spec: LaunchSpec) -> Script:
        shutil.rmtree(tmp_path / "results")
        return failing(1)

    made, _ = prepared(ONE, script, tmp_path / "results")
    with pytest.raises(MachineError, match="cannot be written"):
        run(made, ignore)


def test_runs_of_one_second_stand_in_the_order_of_their_beginnings(tmp_path: Path) -> None:
    begun = [RunFolder.create(tmp_path).run_id for _ in range(50)]
    assert begun == sorted(set(begun))
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", name) for name in begun)


def test_a_results_folder_that_cannot_be_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing" / "there")
    (tmp_path / "file").touch()
    for name in ("dangling", "file"):
        with pytest.raises(MachineError, match=f"{name} cannot be written"):
            RunFolder.create(tmp_path / name)


def test_runs_are_found_by_id_folder_or_latest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run in"):
        find_run("latest", tmp_path)
    made, _ = prepared(ONE, lambda spec: completing(infer=infer(2.0)), tmp_path)
    folder = run(made, ignore).folder
    assert find_run("latest", tmp_path) == find_run(folder.name, tmp_path)
    assert find_run(str(folder), tmp_path / "elsewhere") == folder
    with pytest.raises(InputError, match="no run 'nonsense'"):
        find_run("nonsense", tmp_path)
