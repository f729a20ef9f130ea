"""The real engine and its images; each missing thing is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from docker.models.containers import Container

from harness.catalog import images
from harness.errors import HarnessError
from harness.images import find
from harness.results.run import is_alive
from harness.runtimes import containers
from harness.runtimes.engine import Engine, connect
from tests.conftest import lacking

FAKE_NVML = Path(__file__).parent / "fake_nvml.c"


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that answers here."""
    try:
        return connect()
    except HarnessError as error:
        lacking(error.message)
        raise


@pytest.fixture(scope="session")
def image_ids(engine: Engine) -> dict[str, str]:
    """The ids of the CPU images by their catalog names; all are needed."""
    ids = {}
    for name in ("cpu", "cpu-tf2.15", "cpu-tf2.21", "cpu-jax", "cpu-torch"):
        here = find(engine, images()[name])
        if here is None:
            lacking(f"the image {name} is not here: harness images build {name}")
            raise AssertionError
        ids[name] = here.id
    return ids


@pytest.fixture
def no_container_left(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After the test, or a moment later, the engine holds no container that the test made.

    Other harnesses may be at work in the same engine, and other tests may have left something.
    """
    here = tmp_path_factory.getbasetemp().resolve()
    before = {container.id for container in containers.find(engine, "harness.run")}

    def left() -> list[dict[str, str]]:
        found = containers.find(engine, "harness.run")
        return [one.labels for one in found if one.id not in before and is_of(here, one)]

    yield
    deadline = time.monotonic() + 10
    while (still := left()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert still == []


def is_of(here: Path, container: Container) -> bool:
    """Whether these tests made it: in a folder below theirs, or dead in one for a moment's work."""
    if (name := container.labels.get("harness.folder")) is None:
        return True  # it belongs to no run: a test's own
    folder = Path(name).resolve()
    passing = Path(tempfile.gettempdir()).resolve()
    if passing in folder.parents and folder.name.startswith("harness-"):
        return not is_alive(folder)
    return here in folder.parents


@pytest.fixture
def local_tensorflow() -> None:
    """This environment holds TensorFlow, for the runtime local."""
    if find_spec("tensorflow") is None:
        lacking(f"{sys.executable} has no TensorFlow: pip install -e '.[local]'")


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        lacking("needs root, to become somebody else or to mount a small disk")


@pytest.fixture
def matrix_file(tmp_path: Path) -> Path:
    """Where a test writes its matrix."""
    return tmp_path / "matrix.yaml"


@pytest.fixture(scope="session")
def one_gpu(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which NVML (a small library of the tests' own) shows one GPU."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        lacking("a C compiler is needed for the pretended NVML library")
        raise AssertionError
    folder = tmp_path_factory.mktemp("nvml")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, FAKE_NVML], check=True)
    paths = [str(folder), os.environ.get("LD_LIBRARY_PATH", "")]
    return {"LD_LIBRARY_PATH": ":".join(path for path in paths if path)}


@pytest.fixture
def small_disk(as_root: None, tmp_path: Path) -> Iterator[Path]:
    """A folder that is a disk of 1 MiB, for a test to fill or to make read-only."""
    folder = tmp_path / "small"
    folder.mkdir()
    if shutil.which("mount") is None:
        lacking("mount is needed to make a small disk")
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)
