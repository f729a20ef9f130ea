"""The Docker runtime on the real engine, beyond what every runtime promises (test_conformance)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InfraError, MachineError
from harness.model import Device, LaunchSpec
from harness.results.run import RunFolder
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import Engine
from harness.runtimes.leftovers import remove_leftovers
from tests.conftest import run_harness

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


def test_a_card_whose_nodes_are_gone_is_an_error_before_the_first_case(
    runtime: DockerRuntime, spec: LaunchSpec
) -> None:
    card = Device(kind="gpu", name="W7900", uuid="GPU-a1b2c3d4e5f60718", vendor="amd")
    with pytest.raises(MachineError, match="cannot have the GPU W7900: no AMD card") as refused:
        runtime.require_gpu_support([card])
    assert "amdgpu" in refused.value.next_step
    with pytest.raises(InfraError, match="the GPU W7900 is gone"):
        runtime.start(replace(spec, device=card))
