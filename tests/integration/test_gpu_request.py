"""The GPU request down to the container's own configuration, short of the driver itself.

An engine of the test's own starts with a recording stand-in where NVIDIA's hook would be.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model import Device, LaunchSpec
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import Engine
from tests.conftest import lacking
from tests.faults.own_engine import own_engine

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("as_root")]

HOOK = """#!/bin/sh
# $1 is the hook's stage, the container's state comes on stdin; its bundle holds the configuration.
bundle=$(sed 's/.*"bundle":"\\([^"]*\\)".*/\\1/')
cp "$bundle/config.json" "{record}/$1.json"
"""

TRUE = "int main(void) { return 0; }"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hook")


@pytest.fixture(scope="module")
def gpu_engine(record: Path) -> Iterator[Engine]:
    """An engine that accepts requests for GPUs."""
    hook = record / "bin" / "nvidia-container-runtime-hook"
    hook.parent.mkdir()
    hook.write_text(HOOK.format(record=record))
    hook.chmod(0o755)
    with own_engine(str(hook.parent)) as own, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", own.url)
        yield own.connected()


@pytest.fixture(scope="module")
def image(gpu_engine: Engine, record: Path) -> str:
    """An image that holds a program that does nothing, and nothing else."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        lacking("a C compiler is needed for a program that does nothing")
        raise AssertionError
    (record / "true.c").write_text(TRUE)
    subprocess.run([compiler, "-static", "-o", record / "true", record / "true.c"], check=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(record / "true", "bin/true")
    api = gpu_engine.client.api
    api.import_image_from_data(packed.getvalue(), repository="nothing", tag="1")
    return str(gpu_engine.client.images.get("nothing:1").id)


def test_the_uuid_and_the_capabilities_reach_the_containers_configuration(
    gpu_engine: Engine, image: str, record: Path, tmp_path: Path
) -> None:
    spec = LaunchSpec(
        workload=tmp_path,
        out=tmp_path,
        data=None,
        weights=None,
        device=Device(kind="gpu", name="RTX 2060", uuid="GPU-12345678"),
        image=image,
        env={},
        memory_limit=None,
        labels={},
    )
    DockerRuntime(gpu_engine).rehearse(spec)
    configuration = json.loads((record / "prestart.json").read_text())
    environment = dict(entry.split("=", 1) for entry in configuration["process"]["env"])
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "GPU-12345678"
    assert set(environment["NVIDIA_DRIVER_CAPABILITIES"].split(",")) == {"utility", "compute"}
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert configuration["process"]["noNewPrivileges"] is True
    assert not configuration["process"]["capabilities"].get("effective")
    assert configuration["root"]["readonly"] is True
