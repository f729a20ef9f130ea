"""What every runtime promises, tried on the real thing; small programs stand in for the workload.

The runtimes are those of `subjects.READY`. What one of them cannot promise is said there, with the
reason, and skipped here with it.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, InfraError
from harness.host.amd import DeviceNodes
from harness.model import Device, LaunchSpec
from harness.probes.case import CaseProcesses
from harness.runner.meter import Meter
from harness.runtimes import docker
from harness.runtimes.base import Attempt
from tests.conftest import lacking
from tests.integration.subjects import READY, Subject

PROBE = Path(__file__).parent / "probe"
LABELS = {"harness.run": "conformance", "harness.case": "test"}
SMALL = 100 << 20
HELD = 300 << 20
FOLDERS = "import sys\nout = sys.argv[sys.argv.index('--out') + 1]\n"
"""What a program begins with that writes into its own folder."""

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: open(out + '/asked', 'w').close())
open(out + '/deaf', 'w').close()
while True:
    time.sleep(0.1)
"""
# Its own limit stands behind the runtime's: a limit that is not kept must not cost the machine.
GREEDY = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
held = []
while True:
    held.append(bytearray(10 << 20))
"""
HOLDING = f"""
import subprocess, sys
held = bytearray({HELD // 4})
hold = 'import sys, time; held = bytearray({HELD}); open(sys.argv[1], "w").close(); time.sleep(60)'
subprocess.run([sys.executable, '-c', hold, out + '/held'])
"""
IN_A_CHILD = f"""
import subprocess, sys
subprocess.run([sys.executable, '-c', {GREEDY!r}])
"""


@pytest.fixture(scope="module", params=READY)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with READY[request.param]() as ready:
        yield ready
        assert _left(ready) == []


def _left(subject: Subject) -> list[Any]:
    if subject.engine is None:
        return []
    mine = {"label": [f"{name}={value}" for name, value in LABELS.items()]}
    return list(subject.engine.client.containers.list(all=True, filters=mine, ignore_removed=True))


@pytest.fixture
def spec(subject: Subject) -> LaunchSpec:
    folder = Path(tempfile.mkdtemp(dir=subject.folder))
    for path in (folder, *(folder / name for name in ("workload", "out", "data"))):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        os.chown(path, *subject.owner)
    made = LaunchSpec(
        workload=folder / "workload",
        out=folder / "out",
        data=folder / "data",
        weights=None,
        device=Device(kind="cpu"),
        image=subject.image,
        env={"XLA_FLAGS": "--a=1,--b=$HOME"},
        memory_limit=None,
        labels=LABELS,
    )
    subject.rehearse(made)
    return made


@pytest.fixture
def nodes() -> Iterator[DeviceNodes]:
    """Two device nodes that read as zeros, for members of two groups; where nodes belong."""
    if os.geteuid() != 0:
        lacking("needs root, to make device nodes")
    with tempfile.TemporaryDirectory(prefix="harness-", dir="/dev") as folder:
        paths = [Path(folder) / "kfd", Path(folder) / "renderD128"]
        for path, group in zip(paths, (44, 105), strict=True):
            os.mknod(path, 0o660 | stat.S_IFCHR, os.makedev(1, 5))
            os.chown(path, 0, group)
        yield DeviceNodes(tuple(map(str, paths)), (44, 105))


def program(spec: LaunchSpec, text: str) -> LaunchSpec:
    (spec.workload / "__main__.py").write_text(FOLDERS + text)
    return spec


def output(attempt: Attempt) -> dict[int, bytes]:
    streams = {1: bytearray(), 2: bytearray()}
    for stream, data in attempt.chunks():
        streams[stream] += data
    return {stream: bytes(data) for stream, data in streams.items()}


def wait_for(path: Path, attempt: Attempt) -> None:
    while not path.exists():
        assert attempt.running(), output(attempt)
        time.sleep(0.05)


# ------------------------------------------------------------------ start, output, end


def test_a_case_starts_says_what_it_does_and_ends_with_its_own_code(
    subject: Subject, spec: LaunchSpec
) -> None:
    event = ':::harness {"event": "phase", "phase": "train"}'
    text = f"import os\nprint({event!r})\nprint(os.environ['XLA_FLAGS'])\nsys.exit(7)\n"
    attempt = subject.runtime.start(program(spec, text))
    try:
        said = b"".join(output(attempt).values()).decode()
        ended = attempt.result()
        assert not attempt.running()
    finally:
        attempt.remove()
    assert said.splitlines() == [event, "--a=1,--b=$HOME"]
    assert (ended.code, ended.oom_killed) == (7, False)


def test_no_byte_of_the_log_is_lost(subject: Subject, spec: LaunchSpec) -> None:
    lines = 60_000
    text = (
        f"for n in range({lines}):\n"
        "    sys.stdout.write('out %07d %s\\n' % (n, 'x' * 100))\n"
        "    if n % 10 == 0:\n"
        "        sys.stderr.write('err %07d\\n' % n)\n"
        "sys.stdout.write('a last line without an end')\n"
    )
    attempt = subject.runtime.start(program(spec, text))
    try:
        printed = output(attempt)
    finally:
        attempt.remove()
    whole = b"".join(printed.values())
    wanted = "".join(f"out {n:07d} {'x' * 100}\n" for n in range(lines))
    told = "".join(f"err {n:07d}\n" for n in range(0, lines, 10))
    assert len(whole) == len(wanted) + len(told) + len("a last line without an end")
    subject.require("streams")
    assert printed[1].decode() == wanted + "a last line without an end"
    assert printed[2].decode() == told


def test_a_stream_that_breaks_off_is_taken_up_where_it_ended(
    subject: Subject, spec: LaunchSpec
) -> None:
    subject.require("broken stream")
    text = (
        "import time\n"
        "for n in range(60):\n"
        "    print('line %03d' % n, flush=True)\n"
        "    time.sleep(0.03)\n"
    )
    attempt = subject.runtime.start(program(spec, text))
    try:
        cut = threading.Timer(1.0, lambda: attempt._socket._sock.shutdown(2))  # type: ignore[attr-defined]
        cut.start()
        printed = output(attempt)
        assert attempt.result().code == 0
    finally:
        attempt.remove()
    assert printed[1] == "".join(f"line {n:03d}\n" for n in range(60)).encode()


def test_stopping_asks_first_and_kills_what_does_not_listen(
    subject: Subject, spec: LaunchSpec
) -> None:
    attempt = subject.runtime.start(program(spec, DEAF))
    try:
        wait_for(spec.out / "deaf", attempt)
        started = time.monotonic()
        attempt.stop(1.0)
        assert time.monotonic() - started < 8
        assert not attempt.running()
        ended = attempt.result()
    finally:
        attempt.remove()
    assert (spec.out / "asked").exists()
    assert (ended.code, ended.oom_killed) == (137, False)


def test_work_is_a_sign_of_life_where_it_is_counted(subject: Subject, spec: LaunchSpec) -> None:
    text = "open(out + '/begun', 'w').close()\nwhile True:\n    pass\n"
    attempt = subject.runtime.start(program(spec, text))
    try:
        wait_for(spec.out / "begun", attempt)
        before = attempt.cpu_s()
        time.sleep(1.5)
        after = attempt.cpu_s()
    finally:
        attempt.remove()
    counted = subject.engine is None or subject.engine.limits
    assert (before is not None) == (after is not None) == counted
    if before is not None and after is not None:
        assert after - before > 0.1


# ------------------------------------------------------------------ memory


@pytest.mark.parametrize("text", [GREEDY, IN_A_CHILD], ids=["itself", "a child of it"])
def test_a_case_that_outgrows_its_memory_is_told_from_any_other_end(
    subject: Subject, spec: LaunchSpec, text: str
) -> None:
    limited = replace(spec, memory_limit=SMALL)
    if "memory limit" in subject.cannot:
        with pytest.raises(HarnessError, match="memory"):
            subject.rehearse(limited)
        return
    subject.rehearse(limited)
    attempt = subject.runtime.start(program(limited, text))
    try:
        output(attempt)
        ended = attempt.result()
    finally:
        attempt.remove()
    assert ended.oom_killed
    assert ended.code == (137 if text is GREEDY else 0)


def test_the_memory_that_a_case_holds_is_seen_from_outside(
    subject: Subject, spec: LaunchSpec
) -> None:
    meter = Meter()
    attempt = subject.runtime.start(program(spec, HOLDING))
    try:
        first = attempt.first_process()
        assert first is not None
        meter.begin(CaseProcesses(first.pid, first.container), spec.device)
        wait_for(spec.out / "held", attempt)
        meter.read()
    finally:
        meter.close()
        attempt.remove()
    seen = meter.memory()
    assert (seen.peak_device_used_bytes, seen.peak_device_processes_bytes) == (None, None)
    if subject.engine is None:
        assert seen.peak_cgroup_bytes is None
        assert seen.sampled == ("peak_processes_bytes",)
        held = seen.peak_processes_bytes
    else:
        assert seen.peak_processes_bytes is None
        held = seen.peak_cgroup_bytes
        if not subject.engine.limits:
            assert held is None
            return
    assert held is not None
    assert 5 / 4 * HELD < held < 6 / 4 * HELD


# ------------------------------------------------------------------ rights and folders


def test_what_a_case_leaves_is_the_callers(subject: Subject, spec: LaunchSpec) -> None:
    (spec.data / "images").write_text("42")  # type: ignore[operator]
    text = (
        "data = sys.argv[sys.argv.index('--data') + 1]\n"
        "open(out + '/figures', 'w').write(open(data + '/images').read())\n"
    )
    attempt = subject.runtime.start(program(spec, text))
    try:
        assert output(attempt)[2] == b""
        assert attempt.result().code == 0
    finally:
        attempt.remove()
    left = spec.out / "figures"
    assert left.read_text() == "42"
    assert (left.stat().st_uid, left.stat().st_gid) == subject.owner
    left.unlink()


def test_what_a_running_container_may_and_may_not_do(subject: Subject, spec: LaunchSpec) -> None:
    subject.require("isolation")
    attempt = subject.runtime.start(replace(spec, workload=PROBE))
    try:
        printed = output(attempt)
        assert attempt.result().code == 0, printed
    finally:
        attempt.remove()
    found = json.loads((spec.out / "found.json").read_text())
    # The root of a rootless engine's containers is the caller, who owns what it leaves.
    rootless = subject.engine is not None and subject.engine.rootless
    assert (found["uid"], found["gid"]) == ((0, 0) if rootless else subject.owner)
    assert set(found["capabilities"]) == {"0000000000000000"}
    assert found["no_new_privileges"] == "1"
    assert found["interfaces"] == ["lo"]
    assert found["connect"] == "Network is unreachable"
    for place in ("root", "usr", "workload", "data"):
        assert found[f"write_{place}"] == "Read-only file system", place
    for place in ("tmp", "home", "out"):
        assert found[f"write_{place}"] == "allowed", place
    (scratch,) = found["tmp_options"]
    assert {"nosuid", "nodev"} <= set(scratch)
    assert "noexec" not in scratch  # what a framework compiles is loaded from there
    assert not found["socket_there"]
    assert found["shm"] == 1 << 30
    assert found["environment"]["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_a_missing_folder_is_an_error_and_not_an_empty_mount(
    subject: Subject, spec: LaunchSpec
) -> None:
    subject.require("missing folder")
    gone = spec.out.parent / "gone"
    with pytest.raises(InfraError, match="does not exist"):
        subject.runtime.start(replace(program(spec, ""), data=gone))
    assert not gone.exists()


def test_amds_nodes_reach_the_container_and_no_other_card(
    subject: Subject, spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch, nodes: DeviceNodes
) -> None:
    """Nodes like those of a card, made here: the container gets these, and the group's right."""
    subject.require("device nodes")
    monkeypatch.setattr(docker, "device_nodes", lambda uuid: nodes)
    card = Device(kind="gpu", name="W7900", uuid="GPU-a1b2c3d4e5f60718", vendor="amd")
    text = (
        "import json, os\n"
        f"paths = {list(nodes.paths)!r}\n"
        "found = {\n"
        "    'kinds': [os.major(os.stat(path).st_rdev) for path in paths],\n"
        "    'zeros': [len(open(path, 'rb').read(4)) for path in paths],\n"
        "    'groups': os.getgroups(),\n"
        "    'shown': os.environ['ROCR_VISIBLE_DEVICES'],\n"
        "    'others': os.path.exists('/dev/dri'),\n"
        "}\n"
        "print(json.dumps(found))\n"
    )
    wanted = replace(program(spec, text), device=card)
    subject.rehearse(wanted)
    attempt = subject.runtime.start(wanted)
    try:
        printed = b"".join(output(attempt).values())
    finally:
        attempt.remove()
    found = json.loads(printed)
    assert set(nodes.groups) <= set(found.pop("groups"))
    assert found == {
        "kinds": [1, 1],
        "zeros": [4, 4],
        "shown": card.uuid,
        "others": False,
    }


# ------------------------------------------------------------------ clean-up


def test_a_sweep_takes_what_has_its_labels_and_nothing_else(
    subject: Subject, spec: LaunchSpec
) -> None:
    subject.require("sweep")
    program(spec, "import time\ntime.sleep(60)\n")
    one, other = (
        subject.runtime.start(replace(spec, labels={**LABELS, "harness.attempt": number}))
        for number in ("1", "2")
    )
    try:
        (swept,) = subject.runtime.sweep({**LABELS, "harness.attempt": "1"})
        assert "(test)" in swept
        assert subject.runtime.sweep({**LABELS, "harness.attempt": "1"}) == []
        assert other.running()
        with pytest.raises(InfraError):
            one.running()
    finally:
        one.remove()
        other.remove()


def test_removing_ends_what_runs_and_leaves_nothing(subject: Subject, spec: LaunchSpec) -> None:
    beating = (
        "import time\nwhile True:\n    open(out + '/beat', 'w').close()\n    time.sleep(0.05)\n"
    )
    attempt = subject.runtime.start(program(spec, beating))
    wait_for(spec.out / "beat", attempt)
    attempt.remove()
    attempt.remove()
    (spec.out / "beat").unlink(missing_ok=True)
    time.sleep(0.3)
    assert not (spec.out / "beat").exists()
    assert _left(subject) == []
