"""`harness doctor` against the real engine, without one, and on machines that lack something."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.results.run import RunFolder
from harness.runtimes.engine import Engine
from tests.conftest import lacking, real_data, run_harness
from tests.integration.conftest import mount

WITHOUT_TENSORFLOW = (
    "import sys, harness.cli; from harness.runtimes import interpreter\n"
    "interpreter._ask = lambda path: {'executable': path, 'version': sys.version_info[:2], "
    "'modules': [], 'versions': {}}\n"
    "sys.argv[0] = 'harness'; harness.cli.main()"
)
COLOUR = re.compile(r"\x1b\[")


def doctor(
    *arguments: str | Path, code: int = 0, env: dict[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """The findings by name, after the exit code was seen to be `code`."""
    ended = run_harness("doctor", "--json", *arguments, env=env)
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    assert ended.stderr == ""
    findings = json.loads(ended.stdout)
    assert all(list(found) == ["name", "ok", "what", "mend"] for found in findings)
    assert (code == 3) == any(found["ok"] is False for found in findings)
    return {found["name"]: found for found in findings}


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    nowhere = f"unix://{tmp_path}/no.sock"
    return {"DOCKER_HOST": nowhere, "CONTAINER_HOST": nowhere}


@pytest.mark.usefixtures("image_ids")
def test_the_real_engine(tmp_path: Path, engine: Engine) -> None:
    found = doctor("--results", tmp_path / "a" / "results")
    assert found["engine"]["what"].startswith(f"Docker {engine.version}")
    assert found["container"]["ok"] is True
    assert "one of the image cpu starts" in found["container"]["what"]
    for name in ("cpu", "cpu-tf2.15", "cpu-tf2.21"):
        assert found[f"image {name}"]["ok"] is True
    assert "docker" in found["runtime"]["what"]
    assert found["data synthetic"]["ok"] is True
    assert found["results"]["ok"] is True
    assert found["memory"]["ok"] in (True, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("image_ids")
def test_what_is_printed_for_people(tmp_path: Path) -> None:
    ended = run_harness("doctor", "--results", tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert COLOUR.search(ended.stdout) is None
    lines = ended.stdout.splitlines()
    first = next(line for line in lines if " engine " in line)
    assert first.startswith("ok  engine ")
    column = first.index("Docker")
    for line in lines:
        assert line.startswith(("ok  ", "--  ", " " * column)), line
        assert line[column - 2 : column] == "  "
        assert line[column] != " "


@pytest.mark.usefixtures("image_ids")
def test_colours_on_a_terminal_alone(tmp_path: Path) -> None:
    import pty

    def shown(env: dict[str, str]) -> str:
        main, terminal = pty.openpty()
        started = subprocess.Popen(
            [sys.executable, "-m", "harness", "doctor", "--results", str(tmp_path)],
            stdout=terminal,
            env={**os.environ, **env},
        )
        os.close(terminal)
        text = b""
        try:
            while piece := os.read(main, 65536):
                text += piece
        except OSError:
            pass  # how a terminal says that its last writer is gone
        started.wait(timeout=60)
        os.close(main)
        return text.decode()

    assert COLOUR.search(shown({"NO_COLOR": ""}))
    assert COLOUR.search(shown({"NO_COLOR": "1"})) is None


@pytest.mark.usefixtures("local_tensorflow")
def test_without_an_engine_this_environment_will_do(
    tmp_path: Path, nowhere: dict[str, str]
) -> None:
    found = doctor("--results", tmp_path, env=nowhere)
    assert found["engine"]["ok"] is None
    assert "no Docker engine answers at unix://" in found["engine"]["what"]
    assert "--runtime local" in found["engine"]["mend"]
    assert found["local"]["what"].startswith("tensorflow")
    assert found["runtime"]["what"] == "cases can run with: local"
    assert found["image cpu"] == {
        "name": "image cpu",
        "ok": None,
        "what": "not known: no engine holds it",
        "mend": "",
    }
    assert found["leftovers"]["ok"] is None
    assert "container" not in found


def test_an_engine_on_another_machine_is_none(tmp_path: Path) -> None:
    ended = run_harness(
        "doctor", "--json", "--results", tmp_path, env={"DOCKER_HOST": "tcp://192.0.2.1:2375"}
    )
    engine = json.loads(ended.stdout)[0]
    assert engine["ok"] is not True
    assert "is on another machine" in engine["what"]


def test_nothing_to_run_in_is_exit_3(tmp_path: Path, nowhere: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, "doctor", "--results", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, **nowhere},
        check=False,
    )
    assert ended.returncode == 3, (ended.stdout, ended.stderr)
    assert ended.stderr == ""
    stopping = [line.split()[1] for line in ended.stdout.splitlines() if line.startswith("!!")]
    podman = ["podman"] if shutil.which("podman") else []
    assert stopping == ["engine", *podman, "local", "runtime"]
    assert "start Docker" in ended.stdout
    assert "; or: pip install" in ended.stdout


@pytest.mark.usefixtures("image_ids")
def test_a_gpu_that_no_container_gets(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    environment = request.getfixturevalue("one_gpu")
    ended = run_harness("doctor", "--json", "--results", tmp_path, env=environment)
    findings = json.loads(ended.stdout)
    found = {finding["name"]: finding for finding in findings}
    assert found["gpu"]["what"] == "0 Pretended GPU 6.00 GiB"
    drivers = [finding for finding in findings if finding["name"] == "driver"]
    assert all(finding["ok"] is True for finding in drivers)
    assert drivers[0]["what"] == "570.86.10, and tensorflow-25.02 needs 570 or newer"
    assert found["gpu inside"]["ok"] is not True
    assert "container toolkit" in found["gpu inside"]["mend"]
    # Local TensorFlow for the processor alone is no way out; one that can use a GPU is.
    assert ended.returncode == (0 if found["runtime"]["ok"] else 3)
    assert found["runtime"]["what"] in (
        "cases can run with: local",
        "no case can run, neither in a container nor in this environment",
    )


def test_datasets_missing_damaged_and_here(tmp_path: Path) -> None:
    if real_data() is None:
        lacking("the real MNIST files are not here")
    data = tmp_path / "some data"
    line = ["--results", tmp_path, "--data-dir", data]
    elsewhere = {"HARNESS_DATA_DIR": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    found = doctor(*line, env=elsewhere)
    assert found["data mnist"]["what"] == "not here"
    assert found["data mnist"]["mend"] == f"harness data fetch --data-dir '{data}' mnist"
    assert found["data folder"]["what"].startswith(f"{data} can be written")
    assert not data.exists()
    shutil.copytree(f"{real_data()}/mnist", data / "mnist", copy_function=shutil.copyfile)
    found = doctor(*line, env=elsewhere)
    assert found["data mnist-10k"]["what"] == f"verified, in {data}/mnist"
    images = data / "mnist" / "t10k-images-idx3-ubyte.gz"
    images.chmod(0o644)
    images.write_bytes(images.read_bytes()[:-1] + b"X")
    found = doctor(*line, code=3, env=elsewhere)
    assert "is damaged: its SHA-256" in found["data mnist-10k"]["what"]
    assert found["data mnist-10k"]["mend"].endswith(" mnist-10k")
    assert found["data fashion-mnist"]["ok"] is None


def test_a_results_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = doctor("--results", tmp_path / "file" / "results", code=3)
    assert "cannot be made" in found["results"]["what"]
    assert found["results"]["mend"] == "name another with --results"


def test_a_disk_that_is_full_and_one_that_is_read_only(small_disk: Path) -> None:
    found = doctor("--results", small_disk / "results", code=3)
    assert "free; the largest case needs" in found["results"]["what"]
    mount("-o", "remount,ro", small_disk)
    found = doctor("--results", small_disk / "results", code=3)
    assert "cannot be written by this user" in found["results"]["what"]


@contextmanager
def left_behind(engine: Engine, image: str, folder: Path) -> Iterator[str]:
    """A container that was never started and says that it belongs to the run in `folder`."""
    labels = {"harness.run": "r", "harness.case": "some-case", "harness.folder": str(folder)}
    container = engine.client.containers.create(image, ["true"], labels=labels)
    try:
        yield container.short_id
    finally:
        container.remove(force=True)


def test_leftovers_of_a_dead_run_are_told_and_left(
    tmp_path: Path, engine: Engine, image_ids: dict[str, str]
) -> None:
    run = RunFolder.create(tmp_path)
    with left_behind(engine, image_ids["cpu"], run.path) as name:
        with run.locked():
            assert name not in doctor("--results", tmp_path)["leftovers"]["what"]
        left = doctor("--results", tmp_path)["leftovers"]
        assert left["ok"] is None
        assert f"{name} (some-case)" in left["what"]
        assert left["mend"] == "harness clean"
        assert engine.client.containers.get(name).status == "created"


def test_a_wrong_option_is_exit_2(tmp_path: Path) -> None:
    assert run_harness("doctor", "--jsn").returncode == 2
    (tmp_path / "images.toml").write_text('[images.mine]\nmin_driver = "new"\n')
    ended = run_harness("doctor", env={"HARNESS_IMAGES": str(tmp_path / "images.toml")})
    assert ended.returncode == 2
    assert "a wrong image entry" in ended.stderr
    assert "Traceback" not in ended.stderr
