"""Real failures in real containers, each told by its own log and exit code."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.idle_case import CPU, PROGRAM, Idle
from harness.model import Exit, LaunchSpec, Record, Status
from harness.runner import Place, run_attempt
from harness.runner.attempt import LOG_FILE
from harness.runner.saved_log import SavedLog, judge_log
from harness.runner.watch import MAX_LOG
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import Engine
from harness.runtimes.kernel_log import killed_for_memory

pytestmark = pytest.mark.engine

FILL_SHARED_MEMORY = """
import mmap
file = open("/dev/shm/block", "wb+")
file.truncate(8 << 20)
mmap.mmap(file.fileno(), 8 << 20)[:] = bytes(8 << 20)
"""
FILL_A_DISK = "open('/small/file', 'wb', buffering=0).write(bytes(8 << 20)); \
open('/small/file', 'ab', buffering=0).write(bytes(8 << 20))"
START_THREADS = """
import threading, time
for _ in range(100):
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
"""
OPEN_FILES = "files = [open('/dev/null') for _ in range(1000)]"
OUTGROW_THE_LIMIT = "block = bytearray(b'x') * (400 << 20)"
OUTGROW_ITS_ADDRESSES = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
block = bytearray(4 << 30)
"""
ASK_FOR_LESS = """
import os
os.environ.update(TF_CPU_ALLOCATOR_USE_BFC="true", TF_CPU_BFC_MEM_LIMIT_IN_MB="256")
import json, sys, traceback
from pathlib import Path
import tensorflow as tf
numbers = 1 << 28
while True:
    try:
        tf.ones((numbers,))
    except tf.errors.ResourceExhaustedError:
        traceback.print_exc()
        numbers >>= 8
    else:
        break
for phase in ("train", "infer"):
    content = {"contract": 1, "phase": phase, "device": {"kind": "cpu", "name": "cpu"}}
    Path(sys.argv[sys.argv.index("--out") + 1], f"timing-{phase}.json").write_text(
        json.dumps(content)
    )
"""
FAIL_OTHERWISE_AFTER_A_REFUSAL = """
import traceback, torch
try:
    torch.empty(10**13)
except RuntimeError:
    traceback.print_exc()
torch.ones(2, 3) @ torch.ones(4, 5)
"""
KILL_ITSELF = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def ended(engine: Engine, image: str, program: str, **limits: Any) -> SavedLog:
    """What is judged of `program` in a container with `limits`."""
    from docker.types import Ulimit

    files = limits.pop("open_files", None)
    if files is not None:
        limits["ulimits"] = [Ulimit(name="nofile", soft=files, hard=files)]
    command = ["sh", "-c", 'python3 -c "$0"; exit $?', program]
    container = engine.client.containers.run(
        image, command, entrypoint=[], detach=True, network_mode="none", **limits
    )
    try:
        code = container.wait(timeout=120)["StatusCode"]
        container.reload()
        log = container.logs()
        killed = container.attrs["State"]["OOMKilled"] or killed_for_memory(str(container.id))
    finally:
        container.remove(force=True)
    return judge_log(io.BytesIO(log).read, Exit(code=code, oom_killed=killed))


@pytest.mark.parametrize(
    ("program", "limits", "status", "resource"),
    [
        (FILL_SHARED_MEMORY, {"shm_size": 1 << 20}, Status.FAILED, "shared-memory"),
        (FILL_A_DISK, {"tmpfs": {"/small": "size=1m"}}, Status.INFRA, "disk"),
        (START_THREADS, {"pids_limit": 20}, Status.FAILED, "processes"),
        (OPEN_FILES, {"open_files": 30}, Status.FAILED, "open-files"),
        (
            OUTGROW_THE_LIMIT,
            {"mem_limit": 100 << 20, "memswap_limit": 100 << 20},
            Status.OOM_HOST,
            None,
        ),
        (OUTGROW_ITS_ADDRESSES, {}, Status.OOM_HOST, None),
        (KILL_ITSELF, {}, Status.FAILED, None),
    ],
    ids=["shared memory", "disk", "threads", "files", "limit", "addresses", "killed"],
)
def test_what_ran_short_is_named(
    engine: Engine,
    image_ids: dict[str, str],
    program: str,
    limits: dict[str, Any],
    status: Status,
    resource: str | None,
) -> None:
    verdict = ended(engine, image_ids["cpu"], program, **limits).verdict
    assert (verdict.status, verdict.resource) == (status, resource), verdict.reason


@pytest.mark.parametrize(
    ("image", "program", "rule"),
    [
        ("cpu-torch", "import torch; torch.empty(10**13)", "torch-cpu"),
        (
            "cpu-jax",
            "import jax.numpy as jnp; jnp.ones((10**7, 10**6)).block_until_ready()",
            "xla-host",
        ),
        ("cpu", "import numpy; numpy.ones((10**7, 10**6))", "python-memory-error"),
    ],
)
def test_each_framework_tells_in_its_own_words_that_malloc_refused(
    engine: Engine, image_ids: dict[str, str], image: str, program: str, rule: str
) -> None:
    log = ended(engine, image_ids[image], program)
    assert log.verdict.status is Status.OOM_HOST, log.verdict.reason
    assert [getattr(event, "rule", None) for event in log.events][-1] == rule
    assert "TiB asked for" in log.verdict.reason


def test_an_error_of_another_kind_after_a_refusal_that_was_caught_is_no_oom(
    engine: Engine, image_ids: dict[str, str]
) -> None:
    verdict = ended(engine, image_ids["cpu-torch"], FAIL_OTHERWISE_AFTER_A_REFUSAL).verdict
    assert verdict.status is Status.FAILED, verdict.reason
    assert "had run short once: RuntimeError: mat1 and mat2" in verdict.reason


def through_the_runner(
    engine: Engine, idle: Idle, case_run: str, program: Path = PROGRAM
) -> Record:
    place = Place(run_id=case_run, machine="m", repeat=1, attempt=1, folder=idle.folder)
    runtime = DockerRuntime(engine)
    out = idle.attempt_folder()
    runtime.rehearse(LaunchSpec(program, out, PROGRAM, None, CPU, idle.image, {}, None, {}))
    return run_attempt(idle.planned(), program, runtime, place, lambda _: None, lambda: False)


@pytest.mark.usefixtures("no_container_left")
def test_a_refusal_that_is_caught_and_a_smaller_request_that_goes_through_are_pressure(
    engine: Engine, image_ids: dict[str, str], tmp_path: Path
) -> None:
    """TensorFlow's own pool refuses a gibibyte, says so in its own words, and gives less."""
    (program := tmp_path / "program").mkdir(mode=0o755)
    (program / "__main__.py").write_text(ASK_FOR_LESS)
    (folder := tmp_path / "attempt").mkdir()
    record = through_the_runner(engine, Idle(0.0, image_ids["cpu"], folder), "less", program)
    assert record.status is Status.PRESSURE, record.reason
    assert record.reason is not None
    assert "(bfc_cpu_allocator_for_gpu) ran out of memory trying to allocate" in record.reason
    assert record.memory.pressure_events == 1
    assert record.memory.largest_request_bytes == 1 << 30


@pytest.mark.usefixtures("no_container_left")
def test_a_flood_with_warnings_completes_under_pressure_and_its_log_is_bounded(
    engine: Engine, image_ids: dict[str, str], tmp_path: Path
) -> None:
    megabytes = 80
    record = through_the_runner(engine, Idle(0.0, image_ids["cpu"], tmp_path, megabytes), "flood")
    assert record.status is Status.PRESSURE, record.reason
    assert record.memory.pressure_events == megabytes
    assert record.memory.largest_request_bytes == round(3.42 * 2**30)
    assert MAX_LOG <= (tmp_path / LOG_FILE).stat().st_size <= MAX_LOG + 1000


@pytest.mark.usefixtures("no_container_left")
def test_killed_from_outside_is_a_failure_of_an_unknown_hand(
    engine: Engine, image_ids: dict[str, str], tmp_path: Path
) -> None:
    def kill() -> None:
        """Once it has said something: it runs then."""
        deadline = time.monotonic() + 30
        log = tmp_path / LOG_FILE
        while not (log.is_file() and log.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.0)  # all of it has been read
        (container,) = engine.client.containers.list(
            filters={"label": "harness.run=killed"}, ignore_removed=True
        )
        container.kill()

    killer = threading.Timer(0.5, kill)
    killer.start()
    record = through_the_runner(engine, Idle(60.0, image_ids["cpu"], tmp_path, 1), "killed")
    killer.join()
    assert record.status is Status.FAILED
    assert record.exit.code == 137
    assert "signal 9" in record.reason
    assert "an allocator had run short once" in record.reason
    assert "someone unknown ended it" in record.reason
    assert record.resource is None
