"""The runtimes that the conformance suite tries, and what each cannot do by its nature.

A new runtime is a function that makes a `Subject`, and a line in READY.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.model import Device, LaunchSpec
from harness.plan.runtime import Need, require_local
from harness.runtimes.apptainer import PROGRAMS, ApptainerRuntime
from harness.runtimes.base import Runtime
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import Engine, connect
from harness.runtimes.local import LocalRuntime
from tests.conftest import cannot_have, lacking
from tests.integration.own_podman import own_podman

IMAGE = os.environ.get("HARNESS_BASE_IMAGE") or "harness/stand-in-base:bookworm"
"""An image with a Python, and nothing more is needed."""

ONE_PIPE = "its two outputs share one pipe, which keeps their order"
ENDS_ITSELF = "a workload whose harness is gone ends itself"

Rehearse = Callable[[LaunchSpec], object]


@dataclass(frozen=True)
class Subject:
    """A runtime that is ready.

    `rehearse` finds refusals before the first case; `owner` is whose the case's files are; `engine`
    holds the containers; `cannot` says of what a runtime does not promise why it does not.
    """

    runtime: Runtime
    rehearse: Rehearse
    folder: Path
    owner: tuple[int, int]
    image: str | None = None
    engine: Engine | None = None
    cannot: Mapping[str, str] = field(default_factory=dict)

    def require(self, promise: str) -> None:
        """Skip the test where the runtime cannot hold the promise."""
        if promise in self.cannot:
            cannot_have(f"{self.runtime.name}: {self.cannot[promise]}")


@contextmanager
def docker() -> Iterator[Subject]:
    try:
        engine = connect()
    except HarnessError as error:
        lacking(error.message)
        raise
    with _folder((os.getuid(), os.getgid())) as folder:
        yield _in(engine, folder, (os.getuid(), os.getgid()))


@contextmanager
def podman() -> Iterator[Subject]:
    with _podman(rootless=False) as subject:
        yield subject


@contextmanager
def podman_rootless() -> Iterator[Subject]:
    with _podman(rootless=True) as subject:
        yield subject


@contextmanager
def _podman(rootless: bool) -> Iterator[Subject]:
    with own_podman(rootless) as own, _folder(own.owner) as folder:
        own.load(IMAGE)
        subject = _in(own.connected(), folder, own.owner)
        yield subject
        assert subject.engine is not None
        subject.engine.client.close()  # an open connection holds up the end of the service


def _in(engine: Engine, folder: Path, owner: tuple[int, int]) -> Subject:
    try:
        image = str(engine.client.images.get(IMAGE).id)
    except Exception:
        lacking(f"the image {IMAGE} is not here: docker/stand-in-base.sh {IMAGE}")
        raise
    runtime = DockerRuntime(engine)
    cannot = {
        **({} if engine.limits else {"memory limit": "without control groups nothing is limited"}),
        **(
            {"device nodes": "its containers get what its user may open"} if engine.rootless else {}
        ),
    }
    return Subject(runtime, runtime.rehearse, folder, owner, image, engine, cannot)


@contextmanager
def apptainer() -> Iterator[Subject]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        cannot_have("neither apptainer nor singularity is installed, and Debian has neither")
        raise AssertionError
    image = os.environ.get("HARNESS_TEST_SIF")
    if image is None:
        lacking("HARNESS_TEST_SIF names no SIF file that holds python3")
    runtime = ApptainerRuntime(program)
    me = (os.getuid(), os.getgid())
    untold = (
        "no engine tells why a process was killed; tests/integration/test_apptainer.py looks at "
        "whether the limit holds"
    )
    cannot = {
        "streams": ONE_PIPE,
        "broken stream": ONE_PIPE,
        "sweep": ENDS_ITSELF,
        "missing folder": "it refuses by an exit code of its own",
        "device nodes": "its option --rocm gives the cards",
        "isolation": "tests/integration/test_apptainer.py looks at what it isolates",
        "memory limit": untold,
    }

    def rehearse(spec: LaunchSpec) -> None:
        # Unlike with the others that cannot, a refusal is not certain: the installation decides.
        if spec.memory_limit is not None:
            cannot_have(f"{runtime.name}: {untold}")
        runtime.rehearse(spec)

    with _folder(me) as folder:
        yield Subject(runtime, rehearse, folder, me, image, cannot=cannot)


@contextmanager
def local() -> Iterator[Subject]:
    no_container = "a process of this machine, and the record says: not a pinned image"
    cannot = {
        "streams": ONE_PIPE,
        "broken stream": ONE_PIPE,
        "sweep": ENDS_ITSELF,
        "missing folder": no_container,
        "isolation": no_container,
        "device nodes": no_container,
        "memory limit": "nothing limits a process group here",
    }
    me = (os.getuid(), os.getgid())
    with _folder(me) as folder:
        yield Subject(LocalRuntime(sys.executable), _rehearse_local, folder, me, cannot=cannot)


def _rehearse_local(spec: LaunchSpec) -> None:
    require_local([Need("tensorflow", "cpu", Device(kind="cpu"), False, spec.memory_limit)])


@contextmanager
def _folder(owner: tuple[int, int]) -> Iterator[Path]:
    """A folder that its owner can write and that others can look into."""
    folder = Path(tempfile.mkdtemp(prefix="harness-", dir="/tmp"))
    folder.chmod(0o755)
    os.chown(folder, *owner)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


READY: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {
    "docker": docker,
    "podman": podman,
    "podman, rootless": podman_rootless,
    "apptainer": apptainer,
    "local": local,
}
