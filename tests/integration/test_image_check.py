"""harness images check on our own images, and on small hostile ones made from them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import images
from harness.host.gpus import CPU
from harness.images.check import Checked, check
from harness.images.trial import out_folder, probe_spec
from harness.model import LaunchSpec
from harness.results.files import held
from harness.results.run import is_alive
from harness.runtimes.containers import find
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import Engine
from harness.runtimes.leftovers import find_leftovers
from tests.conftest import run_harness
from tests.integration.registries import free_port, imported

pytestmark = pytest.mark.engine

NAME = "harness/test-hostile:1"


@pytest.fixture
def hostile(engine: Engine) -> Iterator[str]:
    yield NAME
    if engine.client.images.list(NAME):
        engine.client.images.remove(NAME, force=True)


def with_entrypoint(engine: Engine, script: str) -> None:
    """Our JAX image, the quickest one, started through a shell script of its own."""
    entrypoint = json.dumps(["/bin/sh", "-c", script, "entrypoint"])
    text = f"FROM {images()['cpu-jax'].reference}\nENTRYPOINT {entrypoint}\n"
    engine.client.images.build(fileobj=io.BytesIO(text.encode()), tag=NAME, rm=True)


def checked_by_nobody_special(engine: Engine) -> Checked:
    runtime = DockerRuntime(engine)
    runtime.terms = replace(runtime.terms, uid=1000, gid=1000)
    return check(runtime, NAME, CPU, lambda line: None)


def details(checked: Checked) -> dict[str, str]:
    return {line.what: line.detail for line in checked.strict.lines}


@pytest.mark.parametrize(
    ("name", "framework"),
    [("cpu-torch", "torch"), ("cpu-jax", "jax"), ("cpu-tf2.15", "tensorflow")],
)
def test_our_own_images_need_no_relaxation(
    image_ids: dict[str, str], name: str, framework: str
) -> None:
    ended = run_harness("images", "check", name, "--gpu", "cpu", "--format", "json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout)
    assert (told["works"], told["relaxed"]) == (True, None)
    found = {line["what"]: line["detail"] for line in told["strict"]["found"]}
    assert found["write /"] == "no (Read-only file system)"
    assert found["entrypoint"] == "none"
    assert "Keras " in found[framework]
    assert found[f"{framework} device"].startswith("cpu: ")
    assert "MiB at most" in found[f"{framework} memory"]
    assert {"tensorflow", "jax", "torch"} & set(found) == {framework}


def test_an_entrypoint_that_writes_to_the_root(
    engine: Engine, image_ids: dict[str, str], hostile: str
) -> None:
    with_entrypoint(engine, 'echo Welcome; echo x > /opened || exit 7; exec "$@"')
    ended = run_harness("images", "check", hostile, "--gpu", "cpu")
    assert ended.returncode == 1
    strict, _, relaxed = ended.stdout.partition(f"{hostile}, with a root that can be written")
    assert "python3 was not reached, exit code 7" in strict
    assert "Read-only file system" in strict
    assert "prints a line: Welcome" in relaxed
    assert " it can be written" in relaxed
    assert "it runs with a root that can be written, which the harness does not do" in relaxed


def test_an_entrypoint_that_needs_root(
    engine: Engine, image_ids: dict[str, str], hostile: str
) -> None:
    with_entrypoint(engine, '[ "$(id -u)" = 0 ] || { echo must be root; exit 9; }; exec "$@"')
    checked = checked_by_nobody_special(engine)
    assert details(checked)["start"] == "python3 was not reached, exit code 9: must be root"
    assert checked.relaxed is not None
    assert checked.relaxed.how == "as root"
    assert "uid 0, gid 0" in [line.detail for line in checked.relaxed.lines]


def test_an_entrypoint_that_needs_capabilities_too(
    engine: Engine, image_ids: dict[str, str], hostile: str
) -> None:
    with_entrypoint(engine, 'touch /tmp/x && chown 7:7 /tmp/x && exec "$@"')
    checked = checked_by_nobody_special(engine)
    assert checked.relaxed is not None
    assert checked.relaxed.how == "as root with Docker's own capabilities"


def test_an_entrypoint_that_never_starts_the_command(
    engine: Engine, image_ids: dict[str, str], hostile: str
) -> None:
    with_entrypoint(engine, "echo usage: nothing")
    checked = checked_by_nobody_special(engine)
    assert details(checked)["start"] == "python3 was not reached, exit code 0: usage: nothing"
    assert checked.relaxed is not None
    assert checked.relaxed.how == "without its entrypoint"
    assert "uid 1000, gid 1000" in [line.detail for line in checked.relaxed.lines]


def test_an_image_without_python(engine: Engine, hostile: str) -> None:
    imported(engine, NAME, b"nothing else")
    ended = run_harness("images", "check", hostile, "--gpu", "cpu")
    assert ended.returncode == 1
    assert "!!  start       the engine: " in ended.stdout
    assert "python3" in ended.stdout
    assert "no relaxation that was tried helped" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_nothing_is_left_behind(engine: Engine, image_ids: dict[str, str]) -> None:
    started: list[Mapping[str, str]] = []

    class Noting(DockerRuntime):
        def container_options(self, spec: LaunchSpec) -> dict[str, Any]:
            started.append(spec.labels)
            return super().container_options(spec)

    check(Noting(engine), "cpu-jax", CPU, lambda line: None)
    assert started
    for labels in started:  # its folder is among them: another's check is not meant
        assert find(engine, *(f"{name}={value}" for name, value in labels.items())) == []


def test_a_reference_that_cannot_be_had() -> None:
    ended = run_harness("images", "check", f"localhost:{free_port()}/nobody/nothing:1")
    assert ended.returncode == 3
    assert "cannot be pulled" in ended.stderr
    assert ended.stdout == ""


def test_a_gpu_that_is_not_there(image_ids: dict[str, str]) -> None:
    ended = run_harness("images", "check", "cpu-jax", "--gpu", "7")
    assert ended.returncode == 3
    assert "GPU 7 is not there" in ended.stderr


def test_clean_finds_what_a_check_that_was_killed_left(
    engine: Engine, image_ids: dict[str, str], tmp_path: Path
) -> None:
    out = out_folder(tmp_path)
    options = DockerRuntime(engine).container_options(probe_spec(image_ids["cpu"], CPU, out))
    left = engine.client.containers.create(**options)
    try:
        with held(tmp_path, "a check is at work"):
            assert left.id not in [container.id for container in find_leftovers(engine, is_alive)]
        assert left.id in [container.id for container in find_leftovers(engine, is_alive)]
    finally:
        left.remove(force=True)
