"""A case that does nothing for a while: through the harness's runner, and as `docker run`.

Both get the same image, command, mounts, environment and restrictions, so that the difference is
the harness and nothing else: with the engine's defaults `docker run` would also set up a network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.errors import MachineError, NoImageError
from harness.events import OnEvent
from harness.model import (
    Case,
    DatasetIdentity,
    Device,
    ImageIdentity,
    LaunchSpec,
    PlannedCase,
    Record,
)
from harness.runner import Place, run_attempt
from harness.runtimes.command import DATA, OUT, WORKLOAD, arguments, environment
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.docker_options import (
    LOG_LIMITS,
    PIDS,
    SCRATCH,
    SHM_BYTES,
    STACK_BYTES,
    TMP_OPTIONS,
)
from harness.runtimes.engine import ENGINE_ERRORS, connect, explain

IMAGE = "harness/tensorflow-cpu:2.17.0"
PROGRAM = Path(__file__).parent / "idle"
CPU = Device(kind="cpu")


@dataclass(frozen=True)
class Idle:
    """A case that prints `print_mb` megabytes and sleeps `seconds` in `image`.

    `folder` is where its attempts go.
    """

    seconds: float
    image: str
    folder: Path
    print_mb: int = 0

    def attempt_folder(self) -> Path:
        """A new folder for one attempt."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    @property
    def spec(self) -> dict[str, float]:
        return {"sleep_s": self.seconds, "print_mb": self.print_mb}

    def planned(self) -> PlannedCase:
        case = Case(
            model="model-a",
            dataset="synthetic",
            framework="tensorflow",
            image="cpu",
            batch_size=64,
            precision="float32",
            jit=False,
            weights="random",
            protocol="smoke",
            measure="full",
            overrides={},
            gpu="cpu",
        )
        return PlannedCase(
            case=case,
            key="0" * 64,
            ingredients={},
            spec=self.spec,
            device=CPU,
            image=ImageIdentity(reference=self.image),
            launch_image=self.image,
            dataset=DatasetIdentity(name="synthetic", synthetic=True, sha256="0" * 64),
            data_folder=PROGRAM,
            weights_folder=None,
        )


def run_ours(idle: Idle, runtime: DockerRuntime, on_event: OnEvent = lambda _: None) -> float:
    """Seconds of one attempt through the runner, its record written. Raises if it went wrong."""
    return attempt(idle, runtime, idle.attempt_folder(), on_event)[0]


def attempt(
    idle: Idle, runtime: DockerRuntime, folder: Path, on_event: OnEvent
) -> tuple[float, Record]:
    """The same in a folder that is chosen, with its record."""
    place = Place(run_id="benchmark", machine="m", repeat=1, attempt=1, folder=folder)
    planned = idle.planned()
    started = time.perf_counter()
    record = run_attempt(planned, PROGRAM, runtime, place, on_event, lambda: False)
    seconds = time.perf_counter() - started
    if not record.status.completed:
        raise SystemExit(f"the case ended as {record.status.value}: {record.reason}")
    return seconds, record


def run_bare(idle: Idle, runtime: DockerRuntime) -> float:
    """Seconds of the same container as ``docker run --rm``."""
    out = idle.attempt_folder()
    (out / "spec.json").write_text(json.dumps(idle.spec))
    command = docker_run(idle.image, out, runtime)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    seconds = time.perf_counter() - started
    if not (out / "timing-infer.json").exists():
        raise SystemExit("docker run left no timing file")
    return seconds


def docker_run(image: str, out: Path, runtime: DockerRuntime) -> list[str]:
    """The command line that says what `runtimes.docker_options.options` says."""
    binds = [(PROGRAM, WORKLOAD, ",readonly"), (PROGRAM, DATA, ",readonly"), (out, OUT, "")]
    flags = [f"--mount=type=bind,source={a},target={b}{mode}" for a, b, mode in binds]
    flags += [f"--env={name}={value}" for name, value in environment(CPU, SCRATCH).items()]
    flags += [f"--log-opt={name}={value}" for name, value in LOG_LIMITS.items()]
    if runtime.terms.raises_limits:
        flags += ["--ulimit=memlock=-1:-1", f"--ulimit=stack={STACK_BYTES}:{STACK_BYTES}"]
    return [
        "docker",
        "run",
        "--rm",
        f"--user={runtime.terms.user}",
        f"--workdir={SCRATCH}",
        "--network=none",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--read-only",
        f"--tmpfs={SCRATCH}:{TMP_OPTIONS}",
        f"--pids-limit={PIDS}",
        f"--shm-size={SHM_BYTES}",
        "--log-driver=json-file",
        *flags,
        image,
        *arguments("python3", WORKLOAD, OUT, DATA, None),
    ]


def rehearsed(idle: Idle) -> DockerRuntime:
    """The runtime as a campaign prepares it. Raises MachineError without engine or image."""
    engine = connect()
    if shutil.which("docker") is None:
        raise MachineError("the command docker is not here", "install Docker's command line")
    try:
        engine.client.images.get(idle.image)
    except ENGINE_ERRORS as error:
        raise NoImageError(
            f"the image {idle.image} is not here: {explain(error)}", "harness images build cpu"
        ) from error
    runtime = DockerRuntime(engine)
    out = idle.attempt_folder()
    runtime.rehearse(LaunchSpec(PROGRAM, out, PROGRAM, None, CPU, idle.image, {}, None, {}))
    return runtime
