"""`--on` a machine with a container engine: cases in its containers, and an engine that dies."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.model import Status
from harness.results.reading import Run, read_run
from harness.runtimes.engine import Engine
from tests.conftest import lacking, run_harness
from tests.faults.own_engine import OwnEngine, own_engine
from tests.integration import ssh_machines
from tests.integration.ssh_machines import Machine, Machines, begin, until
from tests.unit.runs import infer, train

BASE = "harness/stand-in-base:bookworm"
REAL = """
axes: {model: [model-a], dataset: [mnist-10k]}
defaults: {protocol: smoke, image: cpu, measure: quick}
dataset_fallback: synthetic
budget: 1s
"""
PLAYED = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [8, 16, 32]}
defaults: {protocol: smoke, image: plain}
order: written
retries: 0
"""
DOCKERFILE = f"FROM {BASE}\nCOPY python3 /usr/local/bin/python3\n"
PYTHON = """#!/usr/bin/python3
import json, os, sys, time
if "--out" not in sys.argv:
    os.execv("/usr/bin/python3", ["python3", *sys.argv[1:]])
out = sys.argv[sys.argv.index("--out") + 1]
with open(sys.argv[sys.argv.index("--spec") + 1]) as file:
    time.sleep(1 if json.load(file)["batch_size"] == 8 else 30)
for name, content in {files!r}.items():
    with open(os.path.join(out, name), "w") as file:
        json.dump(content, file)
"""
"""The image's Python: in place of a case it waits, the first time briefly, and leaves figures."""


@dataclass
class Docked:
    """A machine reached by SSH, the engine that its user reaches, and this end's settings."""

    machine: Machine
    machines: Machines
    engine: OwnEngine
    catalog: Path


@pytest.fixture(scope="module")
def docked(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, module_as_root: None
) -> Iterator[Docked]:
    folder = tmp_path_factory.mktemp("docked")
    catalog = folder / "images.toml"
    catalog.write_text('[images.plain]\nreference = "played:1"\nframework = "tensorflow"\n')
    with own_engine() as own, ssh_machines.machines(folder) as found:
        _load(engine, own, folder)
        machine = found.start("docked", "127.0.0.6", settings={"DOCKER_HOST": own.url})
        plain = found.start("plain", "127.0.0.7")
        for one in (machine, plain):
            one.share_environments(folder / "envs")
        yield Docked(machine, found, own, catalog)


@pytest.fixture(scope="module")
def module_as_root() -> None:
    if os.geteuid() != 0:
        lacking("needs root, for an engine of the test's own")


def _load(engine: Engine, own: OwnEngine, folder: Path) -> None:
    """The image `played:1`, made by this machine's engine, into the own one."""
    if not engine.client.images.list(name=BASE):
        lacking(f"the image {BASE} is not here: docker/stand-in-base.sh {BASE}")
    context, packed = folder / "context", folder / "played.tar"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    files = {"timing-train.json": train(), "timing-infer.json": infer()}
    (context / "python3").write_text(PYTHON.replace("{files!r}", repr(files)))
    (context / "python3").chmod(0o755)
    try:
        subprocess.run(["docker", "build", "-q", "-t", "played:1", context], check=True)
        subprocess.run(["docker", "save", "-o", packed, "played:1"], check=True)
    finally:
        subprocess.run(["docker", "rmi", "played:1"], check=False, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", own.url)
        own.connected().client.close()
        subprocess.run(["docker", "load", "-q", "-i", packed], check=True, capture_output=True)
    packed.unlink()


def containers(own: OwnEngine) -> list[str]:
    line = ["docker", "--host", own.url, "ps", "--all", "--quiet"]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()


def brought(results: Path) -> list[Run]:
    return [read_run(path.parent) for path in sorted(results.glob("*/run.json"))]


def test_an_engine_that_dies_there_costs_its_cases_and_no_result(
    docked: Docked, tmp_path: Path
) -> None:
    (tmp_path / "matrix.yaml").write_text(PLAYED)
    line = ("matrix", tmp_path / "matrix.yaml", "--on", docked.machine.address)
    env = {**docked.machines.env, "HARNESS_IMAGES": str(docked.catalog)}  # it goes along
    going = begin(tmp_path / "log", *line, "--results", tmp_path / "r", env=env)
    going.comes("case 2/3")
    until(lambda: containers(docked.engine))
    assert docked.engine.process is not None
    docked.engine.process.kill()
    code = going.wait()
    text = going.log.read_text()
    docked.engine.process.wait()
    docked.engine.start()
    (run,) = brought(tmp_path / "r")
    assert [record.runtime for record in run.records] == ["docker"] * len(run.records)
    statuses = [record.status for record in run.records]
    assert statuses == [Status.OK, Status.INFRA, Status.INFRA], text
    assert code == 1, text
    assert "engine" in run.records[1].reason
    assert docked.machine.left() == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", docked.engine.url)
        docked.engine.connected().client.close()
        assert run_harness("clean").returncode == 0
    assert containers(docked.engine) == []


@pytest.mark.engine
@pytest.mark.usefixtures("image_ids", "no_container_left")
def test_a_real_case_in_a_container_of_the_machine(docked: Docked, tmp_path: Path) -> None:
    plain = docked.machines.there[1]
    (tmp_path / "matrix.yaml").write_text(REAL)
    line = ("matrix", tmp_path / "matrix.yaml", "--on", plain.address)
    ended = run_harness(*line, "--results", tmp_path / "r", env=docked.machines.env)
    assert ended.returncode == 0, ended.stderr
    (run,) = brought(tmp_path / "r")
    (record,) = run.records
    assert (record.status, record.runtime) == (Status.OK, "docker")
    assert "tensorflow-cpu" in (record.image.reference or "")
    assert plain.left() == []
