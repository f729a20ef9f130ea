"""The command line with a real Podman, beyond what every runtime promises (test_conformance)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.results.reading import Run, find_run, read_run
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import Engine, connect
from tests.conftest import run_harness
from tests.faults import stand_in
from tests.integration.own_podman import OwnPodman, own_podman
from tests.integration.subjects import IMAGE

MATRIX = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [8, 16]}
defaults: {protocol: smoke, image: IMAGE}
"""

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("engine")]


@dataclass(frozen=True)
class Place:
    """A Podman with one image, and the environment in which a harness finds it and no Docker."""

    podman: OwnPodman
    engine: Engine
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        return {
            "CONTAINER_HOST": self.podman.url,
            "DOCKER_HOST": f"unix://{self.folder}/no.sock",
            "HARNESS_IMAGES": str(self.folder / "images.toml"),
        }

    def matrix(self, image: str) -> Path:
        file = self.folder / f"{image}.yaml"
        file.write_text(MATRIX.replace("IMAGE", image))
        return file


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("podman")
    (folder / "images.toml").write_text(
        f'[images.plain]\nreference = "{IMAGE}"\nframework = "tensorflow"\n'
        '[images.nowhere]\nreference = "localhost:1/no/such:1"\nframework = "tensorflow"\n'
    )
    stand_in.make(folder / "workload", 0.2)
    with own_podman(rootless=False) as podman:
        podman.load(IMAGE)
        engine = podman.connected()
        yield Place(podman, engine, folder)
        engine.client.close()


def measured(place: Place, results: Path, runtime: str) -> tuple[Run, str]:
    line = [sys.executable, "-m", "tests.faults.stand_in", place.folder / "workload", "matrix"]
    line += [place.matrix("plain"), "--gpu", "cpu", "--runtime", runtime, "--offline"]
    ended = subprocess.run(
        [*line, "--results", results],
        capture_output=True,
        text=True,
        env={**os.environ, **place.env},
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    return read_run(find_run("latest", results)), ended.stdout + ended.stderr


@pytest.mark.parametrize("runtime", ["podman", "auto"])
def test_a_run_in_podman_asked_for_or_for_want_of_docker(
    place: Place, tmp_path: Path, runtime: str
) -> None:
    run, told = measured(place, tmp_path, runtime)
    assert [(record.status.value, record.runtime) for record in run.records] == [
        ("ok", "podman"),
        ("ok", "podman"),
    ]
    assert ("no Docker engine answers" in told) == (runtime == "auto")
    mine = {"label": "harness.run"}
    left = place.engine.client.containers.list(all=True, filters=mine, ignore_removed=True)
    assert left == []


def test_podman_behind_dockers_own_setting_is_named_podman(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", place.podman.url)
    engine = connect()
    assert (engine.kind, DockerRuntime(engine).name) == ("podman", "podman")
    assert engine.rootless == (place.podman.owner[0] != 0)


def refused(place: Place, image: str, results: Path, **env: str) -> str:
    line = ["matrix", place.matrix(image), "--runtime", "podman", "--results", results]
    ended = run_harness(*line, "--offline", env={**place.env, **env})
    assert ended.returncode == 3, (ended.stdout, ended.stderr)
    assert "Traceback" not in ended.stderr
    assert not list(results.glob("*/cases"))
    return ended.stderr


def test_a_podman_that_ignores_requests_for_a_gpu_is_an_error_before_the_first_case(
    place: Place, tmp_path: Path, one_gpu: dict[str, str]
) -> None:
    said = refused(place, "plain", tmp_path, **one_gpu)
    if tuple(map(int, place.engine.version.split(".")[:2])) < (5, 4):
        assert f"Podman {place.engine.version} cannot give a container a GPU: before 5.4" in said
        assert "install Podman 5.4 or newer" in said
    else:
        assert "no CDI file here describes nvidia.com/gpu=GPU-11111111" in said


def test_an_image_that_is_not_to_be_had(place: Place, tmp_path: Path) -> None:
    said = refused(place, "nowhere", tmp_path)
    assert "localhost:1/no/such:1 cannot be pulled" in said


def test_no_podman_says_where_it_was_looked_for(place: Place, tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/none.sock"
    said = refused(place, "plain", tmp_path, CONTAINER_HOST=nowhere)
    assert f"no Podman engine answers at {nowhere}" in said
    assert "podman.socket" in said
    ended = run_harness(
        *("matrix", place.matrix("plain"), "--runtime", "podman", "--results", tmp_path),
        env={**place.env, "CONTAINER_HOST": "ssh://user@192.0.2.1/run/podman.sock"},
    )
    assert ended.returncode == 2
    assert "is on another machine" in ended.stderr
    assert "unset CONTAINER_HOST" in ended.stderr


def test_clean_and_doctor_know_it(place: Place, tmp_path: Path) -> None:
    labels = {"harness.run": "r", "harness.folder": str(tmp_path / "gone")}
    place.engine.client.containers.create(IMAGE, ["true"], labels=labels)
    seen = run_harness("doctor", "--results", tmp_path, env=place.env)
    (line,) = [line for line in seen.stdout.splitlines() if " podman " in line]
    assert f"Podman {place.engine.version}" in line
    assert "cases can run with: podman" in seen.stdout
    ended = run_harness("clean", env=place.env)
    assert ended.returncode == 0, ended.stderr
    assert "1 container removed" in ended.stdout
