"""The Docker runtime on the real engine, with small programs in the workload's place."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InfraError, MachineError
from harness.model import Device, LaunchSpec
from harness.results.run import RunFolder
from harness.runtimes.docker import DockerAttempt, DockerRuntime
from harness.runtimes.engine import Engine
from harness.runtimes.leftovers import remove_leftovers
from tests.conftest import run_harness

PROBE = Path(__file__).parent / "probe"

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("no_container_left")]


@pytest.fixture
def spec(tmp_path: Path, image_ids: dict[str, str]) -> LaunchSpec:
    (tmp_path / "out").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "workload").mkdir()
    return LaunchSpec(
        workload=tmp_path / "workload",
        out=tmp_path / "out",
        data=tmp_path / "data",
        weights=None,
        device=Device(kind="cpu"),
        image=image_ids["cpu"],
        env={},
        memory_limit=None,
        labels={"harness.run": "test", "harness.case": "test"},
    )


@pytest.fixture
def runtime(engine: Engine, spec: LaunchSpec) -> DockerRuntime:
    made = DockerRuntime(engine)
    made.rehearse(spec)
    return made


def program(spec: LaunchSpec, text: str) -> LaunchSpec:
    (spec.workload / "__main__.py").write_text(text)
    return spec


def output(attempt: DockerAttempt) -> dict[int, bytes]:
    streams = {1: bytearray(), 2: bytearray()}
    for stream, data in attempt.chunks():
        streams[stream] += data
    return {stream: bytes(data) for stream, data in streams.items()}


def test_what_the_running_container_may_and_may_not_do(
    runtime: DockerRuntime, spec: LaunchSpec
) -> None:
    attempt = runtime.start(replace(spec, workload=PROBE))
    try:
        printed = output(attempt)
        assert attempt.result().code == 0, printed
    finally:
        attempt.remove()
    found = json.loads((spec.out / "found.json").read_text())
    assert (found["uid"], found["gid"]) == (os.getuid(), os.getgid())
    assert set(found["capabilities"]) == {"0000000000000000"}
    assert found["no_new_privileges"] == "1"
    assert found["interfaces"] == ["lo"]
    assert found["connect"] == "Network is unreachable"
    for place in ("root", "usr", "workload", "data"):
        assert found[f"write_{place}"] == "Read-only file system", place
    for place in ("tmp", "home", "out"):
        assert found[f"write_{place}"] == "allowed", place
    assert not found["socket_there"]
    assert found["shm"] == 1 << 30
    assert found["environment"]["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_no_byte_of_the_log_is_lost(runtime: DockerRuntime, spec: LaunchSpec) -> None:
    lines = 120_000
    program(
        spec,
        "import sys\n"
        f"for n in range({lines}):\n"
        "    sys.stdout.write('out %07d %s\\n' % (n, 'x' * 100))\n"
        f"for n in range({lines} // 10):\n"
        "    sys.stderr.write('err %07d\\n' % n)\n"
        "sys.stdout.write('a last line without an end')\n",
    )
    attempt = runtime.start(spec)
    try:
        printed = output(attempt)
    finally:
        attempt.remove()
    wanted = "".join(f"out {n:07d} {'x' * 100}\n" for n in range(lines))
    assert printed[1] == wanted.encode() + b"a last line without an end"
    assert printed[2] == "".join(f"err {n:07d}\n" for n in range(lines // 10)).encode()


def test_a_stream_that_breaks_off_is_taken_up_where_it_ended(
    runtime: DockerRuntime, spec: LaunchSpec
) -> None:
    program(
        spec,
        "import time\n"
        "for n in range(60):\n"
        "    print('line %03d' % n, flush=True)\n"
        "    time.sleep(0.05)\n",
    )
    attempt = runtime.start(spec)
    try:
        cut = threading.Timer(1.5, lambda: attempt._socket._sock.shutdown(2))
        cut.start()
        printed = output(attempt)
        assert attempt.result().code == 0
    finally:
        attempt.remove()
    assert printed[1] == "".join(f"line {n:03d}\n" for n in range(60)).encode()


def test_stopping_asks_first_and_kills_what_does_not_listen(
    runtime: DockerRuntime, spec: LaunchSpec
) -> None:
    program(
        spec,
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "time.sleep(60)\n",
    )
    attempt = runtime.start(spec)
    try:
        next(attempt.chunks())
        assert attempt.running()
        started = time.monotonic()
        attempt.stop(1.0)
        assert time.monotonic() - started < 8
        assert not attempt.running()
        assert attempt.result().code == 137
        assert not attempt.result().oom_killed
    finally:
        attempt.remove()


def test_a_missing_folder_is_an_error_and_not_an_empty_mount(
    runtime: DockerRuntime, spec: LaunchSpec, tmp_path: Path
) -> None:
    with pytest.raises(InfraError, match=r"does not exist|not exist"):
        runtime.start(replace(spec, data=tmp_path / "gone"))
    assert not (tmp_path / "gone").exists()


def test_a_gpu_that_the_engine_cannot_give_is_found_by_the_rehearsal(
    runtime: DockerRuntime, spec: LaunchSpec
) -> None:
    card = Device(kind="gpu", name="RTX 2060", uuid="GPU-12345678")
    with pytest.raises(MachineError, match="cannot give a container the GPU RTX 2060") as refused:
        runtime.rehearse(replace(spec, device=card))
    assert "toolkit" in refused.value.next_step


def test_clean_removes_what_dead_runs_left_and_spares_the_living(
    engine: Engine, runtime: DockerRuntime, spec: LaunchSpec, tmp_path: Path
) -> None:
    program(spec, "import time\ntime.sleep(60)\n")
    folder = RunFolder.create(tmp_path / "results")
    gone = {"harness.run": "dead", "harness.folder": str(tmp_path / "gone")}
    dead = runtime.start(replace(spec, labels=gone))
    living = runtime.start(
        replace(spec, labels={"harness.run": "x", "harness.folder": str(folder.path)})
    )
    try:
        with folder.locked():
            ended = run_harness("clean")
            assert ended.returncode == 0, ended.stderr
            assert "1 container removed" in ended.stdout
            assert living.running()
        assert len(remove_leftovers(engine, lambda path: False)) == 1
    finally:
        dead.remove()
        living.remove()
