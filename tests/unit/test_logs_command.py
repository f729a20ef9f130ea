"""``harness logs classify``, as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from harness.cli import app
from harness.errors import InputError
from harness.runner.saved_log import MAX_LISTED
from tests.unit.test_logs import DISK, HARD, HEALTHY, RECOVERABLE


def classify(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["logs", "classify", *map(str, arguments)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.txt"
    path.write_bytes(b"\n".join([*HEALTHY, RECOVERABLE, HARD]))
    return path


def test_a_completed_log_is_explained(log: Path) -> None:
    shown = classify(log)
    assert shown.exit_code == 0
    first, *events = shown.stdout.splitlines()
    assert first.startswith("pressure: an allocator ran short 2 times, at most: ")
    assert [line.split(",")[0].split(":")[1] for line in events] == [
        " recoverable (bfc-recoverable)",
        " hard (bfc-hard)",
    ]


def test_json_holds_all_that_is_known(log: Path) -> None:
    told = json.loads(classify(log, "--exit-code", "1", "--format", "json").stdout)
    assert list(told) == ["status", "reason", "resource", "events", "events_left_out"]
    assert told["status"] == "oom"
    assert "800.00 MiB asked for" in told["reason"]
    hard = told["events"][1]
    assert log.read_bytes()[hard["offset"] :] == HARD
    assert hard == {
        "kind": "hard",
        "rule": "bfc-hard",
        "line": HARD.decode(),
        "allocator": "bfc_cpu_allocator_for_gpu",
        "requested_bytes": 838860800,
        "echo": False,
        "op": "Fill",
        "shape": None,
        "severity": "W",
        "offset": hard["offset"],
    }


def test_the_kernels_kill_is_the_hosts(log: Path) -> None:
    assert classify(log, "--oom-killed").stdout.startswith("oom_host: the kernel killed it")
    assert classify(log, "--exit-code", "137").stdout.startswith("failed: ")


def test_another_resource_comes_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(DISK)
    told = json.loads(classify(tmp_path / "log.txt", "--exit-code", "1", "--format", "json").stdout)
    assert (told["status"], told["resource"]) == ("infra", "disk")
    assert told["reason"].endswith("free some space where results and temporary files are written")
    assert told["events"][0]["kind"] == "resource"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no.txt",), "cannot read no.txt: No such file or directory"),
        ((".",), "cannot read .: Is a directory"),
        (("log.txt", "--format", "yaml"), "unknown format 'yaml'"),
    ],
)
def test_bad_input_is_one_clear_error(
    arguments: tuple[str, ...], words: str, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(log.parent)
    error = classify(*arguments).exception
    assert isinstance(error, InputError)
    assert error.exit_code == 2
    assert error.message == words
    assert error.next_step


def test_an_exit_code_that_no_process_has_is_refused(log: Path) -> None:
    assert classify(log, "--exit-code", "256").exit_code == 2


def test_a_flood_is_listed_in_part_and_weighed_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes((RECOVERABLE + b"\n") * 3 * MAX_LISTED + HARD)
    told = json.loads(classify(path, "--exit-code", "1", "--format", "json").stdout)
    assert told["status"] == "oom"
    assert len(told["events"]) == MAX_LISTED
    assert told["events_left_out"] == 2 * MAX_LISTED + 1
    assert classify(path).stdout.rstrip().endswith(f"and {2 * MAX_LISTED + 1} more")


CALLED = """
import atexit, re, sys
from pathlib import Path
from harness.cli import main
def tell() -> None:
    # Of this program alone: getrusage also counts what the process was before it became one.
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
    sys.stderr.write(peak[1])
atexit.register(tell)
main()
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, to tell memory")
def test_a_pipe_of_any_size_is_read_in_constant_memory() -> None:
    program = (
        "import sys\n"
        "line = b'step 12/938 - loss: 0.1234\\n' * 40_000\n"
        "for _ in range(150): sys.stdout.buffer.write(line)\n"
        f"sys.stdout.buffer.write({HARD!r})\n"
    )
    reader = [sys.executable, "-c", CALLED, "logs", "classify", "-", "--exit-code", "1"]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as writer:
        done = subprocess.run(
            reader, stdin=writer.stdout, capture_output=True, text=True, check=True
        )
    assert done.stdout.startswith("oom: ")
    assert "byte 162000000: hard (bfc-hard)" in done.stdout
    assert int(done.stderr) << 10 < 100e6
