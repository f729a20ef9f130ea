"""A fleet: where attempts go, what is done about what befalls them, and what is brought back."""

from __future__ import annotations

import gzip
import io
import re
import sys
import tarfile
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import cli
from harness.campaign import Outcome, Request, attempts, prepare_elsewhere, run
from harness.cli import placing
from harness.errors import ExitCode, InfraError, InputError, MachineError
from harness.events import Event, Note
from harness.executors import Task
from harness.executors.errand import Errand, errand
from harness.executors.ray import executor as ray_executor
from harness.executors.ray import parcel as parcels
from harness.executors.ray.cluster import RayFleet
from harness.executors.ray.fleet import differences, placed_on
from harness.executors.ray.parcel import pack, unpack
from harness.executors.ray.port import Host, LostError, Wish, same_model
from harness.host.gpus import CPU
from harness.matrix import expand, parse
from harness.model import PlannedCase, Status
from harness.plan import Means, plan_elsewhere
from harness.results.reading import read_run
from harness.results.run import RECORD_FILE
from harness.runner import Place
from harness.runtimes.scripted import Script
from tests.unit.ray_fleet import PlayedFleet, PlayedRay, looked, nodes

EIGHT = """
axes: {model: [model-a, model-b], dataset: [synthetic], batch_size: [8, 16, 32, 64]}
defaults: {protocol: smoke}
"""


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(ray_executor, "WAIT_S", 0.02)


def measured(
    folder: Path,
    fleet: PlayedFleet,
    told: list[str] | None = None,
    stopped: threading.Event | None = None,
    model: str | None = None,
) -> Outcome:
    told = told if told is not None else []
    request = Request(results=folder, runtime="docker")
    matrix = parse(EIGHT)
    executor = placed_on(fleet, request.means(matrix), model, told.append)
    prepared = prepare_elsewhere(matrix, EIGHT, request, executor, told.append)

    def on_event(event: Event) -> None:
        if isinstance(event, Note):
            told.append(event.text)

    return run(prepared, on_event, stopped.is_set if stopped else lambda: False)


def test_every_case_once_over_all_nodes_one_at_a_time_on_each(tmp_path: Path) -> None:
    fleet = PlayedFleet(tmp_path / "there", nodes(3))
    outcome = measured(tmp_path / "runs", fleet)
    assert outcome.as_expected
    assert len(fleet.made) == len({case for _, case in fleet.made}) == 8
    assert {node for node, _ in fleet.made} == {"node0", "node1", "node2"}
    found = read_run(outcome.folder)
    assert Counter(r.machine for r in found.records) == Counter(node for node, _ in fleet.made)
    assert {r.status for r in found.records} == {Status.OK}
    folder = outcome.folder / "cases" / found.records[0].case_id / "r1" / "a1"
    assert {path.name for path in folder.iterdir()} >= {RECORD_FILE, "log.txt", "spec.json"}
    assert not list((tmp_path / "there").glob("*/*/*"))  # nothing is left on the nodes


def test_what_a_lost_node_took_with_it_is_measured_on_another(tmp_path: Path) -> None:
    def befalls(host: Host, _errand: Errand) -> LostError | None:
        if host.id != "id1":
            return None
        fleet.kill(host)
        return LostError("the node is gone")

    fleet = PlayedFleet(tmp_path / "there", nodes(2), befalls)
    outcome = measured(tmp_path / "runs", fleet)
    assert outcome.as_expected
    records = read_run(outcome.folder).records
    lost = [record for record in records if record.status is Status.INFRA]
    assert [record.reason for record in lost] == ["on node1: the node is gone"]
    again = [record for record in records if record.attempt == 2]
    assert [(r.case_id, r.machine) for r in again] == [(lost[0].case_id, "node0")]
    assert len(records) == 9


def test_a_killed_worker_s_attempt_goes_to_another_node_and_three_are_enough(
    tmp_path: Path,
) -> None:
    """The node is there and answers, and loses whatever it is given."""
    bad = lambda host, _errand: LostError("its process is gone") if host.id == "id0" else None  # noqa: E731
    fleet = PlayedFleet(tmp_path / "there", nodes(2), bad)
    told: list[str] = []
    outcome = measured(tmp_path / "runs", fleet, told)
    assert outcome.as_expected
    assert sum(node == "node0" for node, _ in fleet.made) == 3
    assert any("node0 is not used any more" in line for line in told)
    for record in read_run(outcome.folder).records:
        assert record.attempt <= 2  # elsewhere at once


def test_a_node_that_lacks_something_is_told_once_and_still_does_what_it_can(
    tmp_path: Path,
) -> None:
    def befalls(host: Host, errand: Errand) -> MachineError | None:
        lacks = host.id == "id0" and errand.case.model == "model-b"
        return MachineError("no room for model-b", "buy more") if lacks else None

    fleet = PlayedFleet(tmp_path / "there", nodes(2), befalls)
    told: list[str] = []
    outcome = measured(tmp_path / "runs", fleet, told)
    assert outcome.as_expected
    assert {record.attempt for record in read_run(outcome.folder).records} == {1}
    assert sum("no room for model-b (buy more)" in line for line in told) == 1
    where = Counter(node for node, case in fleet.made if case.startswith("model-b"))
    assert where == {"node0": 1, "node1": 4}


def test_where_no_node_is_left_the_reasons_are_the_record(tmp_path: Path) -> None:
    nothing = lambda host, _errand: MachineError(f"no engine on {host.id}")  # noqa: E731
    outcome = measured(tmp_path / "runs", PlayedFleet(tmp_path / "there", nodes(2), nothing))
    assert not outcome.as_expected
    for record in outcome.records:
        assert record.status is Status.INFRA
        assert record.attempt == 1  # it would be the same again
        assert "node0: no engine on id0" in record.reason
        assert "node1: no engine on id1" in record.reason


def test_a_fault_of_the_harness_there_is_a_record_that_quotes_it(tmp_path: Path) -> None:
    fails = lambda _host, _errand: ZeroDivisionError("by nothing")  # noqa: E731
    outcome = measured(tmp_path / "runs", PlayedFleet(tmp_path / "there", nodes(9), fails))
    assert {record.status for record in outcome.records} == {Status.INFRA}
    assert "ZeroDivisionError: by nothing" in outcome.records[0].reason


def test_stopping_ends_what_runs_on_every_node_and_begins_nothing(tmp_path: Path) -> None:
    stopped = threading.Event()
    begun = threading.Barrier(2, action=stopped.set)

    def befalls(_host: Host, _errand: Errand) -> None:
        begun.wait(10)

    fleet = PlayedFleet(
        tmp_path / "there", nodes(2), befalls, scripts=lambda _spec: Script(steps=(60.0,))
    )
    outcome = measured(tmp_path / "runs", fleet, stopped=stopped)
    assert outcome.interrupted
    assert [record.status for record in outcome.records] == [Status.INTERRUPTED] * 2
    assert len(fleet.made) == 2


def test_a_gpu_model_that_no_node_has_is_refused_before_anything_starts(tmp_path: Path) -> None:
    hosts = [*nodes(1, gpus=1, model="A100"), Host("x", "other", gpus=2), Host("y", "bare")]
    fleet = PlayedFleet(tmp_path, hosts, looks={"x": looked(gpus=("NVIDIA GeForce RTX 4090",) * 2)})
    with pytest.raises(MachineError, match=r"no node has a GPU H100.*A100, NVIDIA GeForce RTX"):
        measured(tmp_path / "runs", fleet, model="H100")
    assert fleet.made == []
    assert not (tmp_path / "runs").exists()


def test_a_gpu_model_chooses_the_nodes(tmp_path: Path) -> None:
    hosts = [*nodes(2, gpus=1, model="A100"), Host("x", "other", gpus=1), Host("y", "bare")]
    fleet = PlayedFleet(
        tmp_path / "there", hosts, looks={"x": looked(gpus=("NVIDIA GeForce RTX 4090",))}
    )
    measured(tmp_path / "runs", fleet, model="rtx 4090")
    assert {node for node, _ in fleet.made} == {"other"}


@pytest.mark.parametrize(
    ("wanted", "name", "same"),
    [
        ("A100", "NVIDIA A100-SXM4-40GB", True),
        ("a10", "NVIDIA A100-SXM4-40GB", False),
        ("L4", "NVIDIA L40S", False),
        ("RTX 4090", "NVIDIA GeForce RTX 4090", True),
    ],
)
def test_models_are_told_by_whole_words(wanted: str, name: str, same: bool) -> None:
    assert same_model(wanted, name) is same


def test_a_node_with_another_harness_is_not_used_and_none_at_all_is_an_error(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    why = "has another harness"
    fleet = PlayedFleet(tmp_path / "there", nodes(2), looks={"id0": why})
    assert measured(tmp_path / "runs", fleet, told).as_expected
    assert {node for node, _ in fleet.made} == {"node1"}
    assert f"node0 is not used: it {why}" in told
    fleet = PlayedFleet(tmp_path, nodes(2), looks={"id0": why, "id1": why})
    with pytest.raises(MachineError, match="node1 has another harness"):
        placed_on(fleet, Means("docker", tmp_path), None, told.append)


def test_what_differs_and_what_asks_for_no_token_is_told(tmp_path: Path) -> None:
    looks = {"id0": looked(python="3.10.1"), "id1": looked(token=False)}
    assert differences(nodes(2), looks) == ["Python differs: 3.10.1 on node0; 3.11.2 on node1"]
    told: list[str] = []
    placed_on(PlayedFleet(tmp_path, nodes(2), looks=looks), Means("a", tmp_path), None, told.append)
    assert any(line.startswith("without a token") and "node1" in line for line in told)


def test_an_index_is_one_machine_s(tmp_path: Path) -> None:
    executor = placed_on(
        PlayedFleet(tmp_path, nodes(1)), Means("a", tmp_path), None, lambda _text: None
    )
    with pytest.raises(InputError, match="one machine's"):
        executor.device("0")
    assert executor.device("auto").kind == "cpu"


def planned(means: Means) -> PlannedCase:
    return plan_elsewhere(expand(parse(EIGHT)), {"auto": CPU}, means)[0]


def test_a_head_that_goes_away_before_the_first_attempt_is_told(tmp_path: Path) -> None:
    fleet, means = PlayedFleet(tmp_path, nodes(2)), Means("a", tmp_path)
    executor = placed_on(fleet, means, None, lambda _text: None)
    task = Task(planned(means), 1)
    fleet.gone = True
    asks: list[Callable[[], object]] = [
        lambda: executor.reason,
        lambda: executor.device("auto"),
        lambda: executor.lanes([task], False),
        lambda: executor.sweep({"harness.run": "x"}),
        lambda: placed_on(fleet, means, None, lambda _text: None),
    ]
    for ask in asks:
        with pytest.raises(MachineError, match="the cluster does not answer") as told:
            ask()
        assert "ray status" in told.value.next_step


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> PlayedRay:
    """Ray that breaks when it is told to; the real one need not be there."""
    words = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: (node, soft))
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", words)
    return PlayedRay()


@pytest.mark.parametrize(
    "broken",
    [
        ConnectionError("Client is shutting down."),
        OSError("broken pipe"),
        RuntimeError("no client"),
        Exception("Ray Client is not connected."),
        PlayedRay.exceptions.RayError("Ray has not been started yet."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_line_that_breaks_is_a_loss_wherever_it_breaks(
    ray: PlayedRay, tmp_path: Path, broken: Exception
) -> None:
    fleet = RayFleet(ray)
    hosts, means = fleet.hosts(), Means("a", tmp_path)
    sent = errand(planned(means), Place("run", "m", 1, 1, tmp_path), means)
    job = fleet.start(hosts[0], sent, Wish(gpu=False))
    assert job.listen(0) is None
    ray.broken = broken
    asks: list[Callable[[], object]] = [
        fleet.hosts,
        lambda: fleet.about,
        lambda: fleet.sweep(hosts, {"harness.run": "x"}),
        lambda: fleet.start(hosts[0], sent, Wish(gpu=False)),
        lambda: job.listen(0),
        lambda: job.read(0),
        job.stop,
    ]
    for ask in asks:
        with pytest.raises(LostError, match=re.escape(f"does not answer: {broken}")):
            ask()
    why = f"cannot be looked at: the Ray cluster does not answer: {broken}"
    assert fleet.look(hosts) == {host.id: why for host in hosts}
    job.end()


@pytest.mark.parametrize("executor", ["ray", "slurm"])
def test_an_interval_is_one_machine_s(
    executor: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Repeats on several machines are never one case's spread."""
    file = tmp_path / "matrix.yaml"
    file.write_text(EIGHT)
    line = ["harness", "matrix", str(file), "--executor", executor, "--until-ci", "1%"]
    monkeypatch.setattr("sys.argv", [*line, "--results", str(tmp_path / "runs")])
    monkeypatch.setattr(placing, "EXECUTORS", dict.fromkeys(placing.EXECUTORS, None))  # unreached
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == ExitCode.BAD_INPUT, said
    assert "--until-ci" in said
    assert f"--executor {executor}" in said
    assert "repeats: 5" in said
    assert not (tmp_path / "runs").exists()


# ------------------------------------------------------------------ parcels


def parcel(*members: tuple[str, bytes, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as made:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, "/etc/passwd", len(content)
            made.addfile(info, io.BytesIO(content))
    file.seek(0)
    return file


REG, LINK = tarfile.REGTYPE, tarfile.SYMTYPE


def test_a_parcel_holds_the_files_and_neither_the_model_nor_links(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    for name in (RECORD_FILE, "log.txt", "model.h5"):
        (there / name).write_text(name)
    (there / "link").symlink_to("/etc/passwd")
    with (tmp_path / "parcel").open("w+b") as file:
        assert pack(there, file) == []
        file.seek(0)
        unpack(file, here)
    assert {path.name for path in here.iterdir()} == {RECORD_FILE, "log.txt"}


@pytest.mark.parametrize(
    "member", [("../out", REG, b"x"), ("/out", REG, b"x"), ("link", LINK, b""), ("..", REG, b"")]
)
def test_nothing_but_a_file_within_the_folder_is_taken(
    tmp_path: Path, member: tuple[str, bytes, bytes]
) -> None:
    with pytest.raises(InfraError, match="no file of an attempt"):
        unpack(parcel(member, (RECORD_FILE, REG, b"{}")), tmp_path)
    assert list(tmp_path.iterdir()) == []


WHOLE = {
    RECORD_FILE: b'{"case_id": "a"}' * 20,
    "log.txt": "".join(f"line {n**3}\n" for n in range(400)).encode(),
    "phases/train.json": bytes(range(256)) * 4,
}
PACKED = parcel(*((name, REG, content) for name, content in WHOLE.items())).getvalue()


@settings(max_examples=400)
@given(
    st.one_of(
        st.builds(
            lambda at, flip: PACKED[:at] + bytes([PACKED[at] ^ flip]) + PACKED[at + 1 :],
            st.integers(0, len(PACKED) - 1),
            st.integers(1, 255),
        ),
        st.integers(0, len(PACKED) - 1).map(lambda length: PACKED[:length]),
    )
)
def test_a_damaged_parcel_is_a_passing_fault_or_makes_no_difference(damaged: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            unpack(io.BytesIO(damaged), folder)
        except InfraError as error:
            assert error.transient
            assert list(folder.iterdir()) == []  # nothing of it is taken
            return
        files = {path for path in folder.rglob("*") if path.is_file()}
        assert {str(path.relative_to(folder)): path.read_bytes() for path in files} == WHOLE


def test_damage_behind_the_last_file_is_noticed(tmp_path: Path) -> None:
    """Where tar has seen its end, and gzip its checksum not yet."""
    damaged = bytearray(PACKED)
    damaged[-5] ^= 1  # of the checksum
    with pytest.raises(InfraError, match="cannot be read"):
        unpack(io.BytesIO(damaged), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_parcel_that_swells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "MOST", 1 << 10)
    monkeypatch.setattr(parcels, "ROOM", 1 << 10)
    file = io.BytesIO(PACKED + gzip.compress(bytes(1 << 20)))
    with pytest.raises(InfraError, match="larger than"):
        unpack(file, tmp_path)


def test_a_parcel_that_is_torn_or_without_a_record_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="cannot be read"):
        unpack(io.BytesIO(parcel((RECORD_FILE, REG, b"{}" * 9999)).getvalue()[:40]), tmp_path)
    with pytest.raises(InfraError, match=RECORD_FILE):
        unpack(parcel(("log.txt", REG, b"x")), tmp_path)
    assert not (tmp_path / RECORD_FILE).exists()
