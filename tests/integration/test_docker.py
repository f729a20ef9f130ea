"""The Docker runtime on the real engine, beyond what every runtime promises (test_conformance)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from docker.errors import NotFound
from docker.models.containers import Container

from harness.errors import InfraError, MachineError
from harness.executors.ray.node import attempts_folder, sweep_here
from harness.host.gpus import CPU
from harness.model import Device, LaunchSpec
from harness.plan.runtime import Need, choose_runtime
from harness.results.files import held
from harness.results.run import RunFolder, is_alive
from harness.runtimes import rehearsal
from harness.runtimes.containers import find
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import Engine
from harness.runtimes.leftovers import find_leftovers
from tests.conftest import run_harness

NEED = Need("tensorflow", "cpu", CPU, asked_for_image=False, memory_limit=None)

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
            assert f"removed {dead.container.short_id} (dead)" in ended.stdout
            assert living.running()
        assert living.container in find_leftovers(engine, lambda path: path != folder.path)
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


def test_a_rehearsal_whose_harness_was_killed_is_cleared_by_the_next_run_and_no_other_is(
    engine: Engine, spec: LaunchSpec, tmp_path: Path
) -> None:
    """Killed between create and start: the engine would keep that container for good."""

    def left(name: str) -> tuple[Container, Path]:
        folder = tmp_path / name
        folder.mkdir()
        labels = {"harness.run": rehearsal.RUN, "harness.folder": str(folder)}
        return engine.client.containers.create(spec.image, "true", labels=labels), folder

    (killed, its_folder), (at_work, living) = left(".rehearsal-killed"), left(".rehearsal-living")
    (elsewhere, no_longer_here), (strange, full) = left(".rehearsal-gone"), left(".rehearsal-full")
    no_longer_here.rmdir()
    (full / "somebody's").touch()
    foreign, home = left("home")
    try:
        with held(living, "busy"):
            choose_runtime("docker", [NEED], print, tmp_path)
        assert not its_folder.exists()
        with pytest.raises(NotFound):
            killed.reload()
        with pytest.raises(NotFound):
            strange.reload()
        assert [path.name for path in full.iterdir()] == ["somebody's"]
        assert home.is_dir()
        for stays in (at_work, elsewhere, foreign):
            stays.reload()
        assert sorted(tmp_path.glob(".rehearsal-*")) == [full, living]
    finally:
        for stays in (at_work, elsewhere, foreign):
            stays.remove()


def test_a_rehearsal_is_known_to_be_at_work(engine: Engine, spec: LaunchSpec) -> None:
    """While its container stands its folder is held, so neither a run nor `clean` takes it."""

    class Looking(DockerRuntime):
        def rehearse(self, wanted: LaunchSpec) -> list[str]:
            folder = Path(wanted.labels["harness.folder"])
            assert folder == wanted.out
            assert is_alive(folder)
            container = self.engine.client.containers.create(
                wanted.image, "true", labels=dict(wanted.labels)
            )
            try:
                rehearsal.remove_dead(self.engine)
                assert container not in find_leftovers(self.engine, is_alive)
                container.reload()
            finally:
                container.remove()
            return ["looked"]

    assert rehearsal.rehearse(Looking(engine), spec.image, CPU, spec.out) == ["looked"]


def test_a_node_of_a_fleet_clears_a_killed_rehearsal_with_the_attempts_folder_that_held_it(
    engine: Engine, spec: LaunchSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute after its worker was killed the folder goes, and with it what tells of the death."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    attempt = attempts_folder() / "a-run" / "model-a_r1_a1_x"
    folder = attempt / ".rehearsal-x"
    folder.mkdir(parents=True)
    os.utime(attempt, (0, 0))
    labels = {"harness.run": rehearsal.RUN, "harness.folder": str(folder)}
    engine.client.containers.create(spec.image, "true", labels=labels)
    assert sweep_here({"harness.run": "a-run"}) == []
    assert find(engine, f"harness.folder={folder}") == []
    os.utime(attempt, (0, 0))
    assert sweep_here({"harness.run": "a-run"}) == []
    assert not attempt.parent.exists()
