"""The runtime local where it is needed: inside a container, as a machine that is rented is one.

The harness itself runs in the image, with the project and the packages of this environment
mounted read-only; there is no engine, no network, no machine id. The case has to find the image's
own TensorFlow, not the one that the harness's PYTHONPATH holds.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from harness.model import Status
from harness.results.reading import Run, find_run, read_run
from tests.conftest import ROOT, lacking, run_harness

MATRIX = """
axes: {model: [model-a], dataset: [synthetic]}
defaults: {protocol: smoke}
"""


HARNESS = ("python3", "-m", "harness", "matrix", "matrix.yaml", "--runtime", "local")


def rented(
    image: str, folder: Path, *options: str, line: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    """Run `line` inside `image`; `folder` is its /place."""
    packages = sysconfig.get_paths()["purelib"]
    mounts = [f"{ROOT}:/project:ro", f"{packages}:/packages:ro", f"{folder}:/place"]
    name = f"harness-test-{secrets.token_hex(4)}"
    command = [
        *("docker", "run", "--rm", "--name", name, "--network", "none", "--workdir", "/place"),
        *(word for mount in mounts for word in ("--volume", mount)),
        *("--env", "PYTHONPATH=/project:/packages", "--env", "KERAS_BACKEND=torch"),
        *(*options, image, *line),
    ]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


@pytest.fixture
def folder(image_ids: dict[str, str], tmp_path: Path) -> Path:
    """What anybody may write into; the images' Python is of the same version as this one."""
    inside = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", image_ids["cpu"], "python3", "--version"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[1]
    if inside.split(".")[:2] != [str(number) for number in sys.version_info[:2]]:
        lacking(f"packages of Python {sys.version_info[:2]} are of no use to the image's {inside}")
    tmp_path.chmod(0o777)
    (tmp_path / "matrix.yaml").write_text(MATRIX)
    return tmp_path


def measured(image: str, folder: Path, name: str, *options: str) -> Run:
    ended = rented(image, folder, *options, line=(*HARNESS, "--results", name))
    assert "not a pinned image" in ended.stdout, ended.stderr
    return read_run(find_run("latest", folder / name))


@pytest.mark.engine
def test_a_rented_container_as_root_and_as_a_user_that_the_system_does_not_know(
    folder: Path, image_ids: dict[str, str]
) -> None:
    root = measured(image_ids["cpu"], folder, "root", "--user", "0:0")
    nobody = ("--user", "54321:54321", "--read-only", "--tmpfs", "/tmp:mode=1777")
    unknown = measured(image_ids["cpu-tf2.15"], folder, "unknown", *nobody)
    for run in (root, unknown):
        (record,) = run.records
        assert record.status is Status.OK, record
        assert (record.runtime, record.image.reference) == ("local", None)
    versions = [run.records[0].versions["framework"] for run in (root, unknown)]
    assert versions == ["2.17.0", "2.15.1"]
    assert root.records[0].case_key == unknown.records[0].case_key
    assert root.records[0].software_key != unknown.records[0].software_key
    assert "tensorflow-cpu 2.15.1" in str(unknown.info.invocations[0].interpreter)
    compared = run_harness("compare", root.path, unknown.path)
    assert "framework: 2.17.0 in BASE, 2.15.1 in NEW" in compared.stdout + compared.stderr


@pytest.mark.engine
@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_rented_container_with_another_framework(
    folder: Path, image_ids: dict[str, str], framework: str
) -> None:
    only = MATRIX.replace("smoke}", f"smoke, framework: {framework}}}")
    (folder / "matrix.yaml").write_text(only)
    (record,) = measured(image_ids[f"cpu-{framework}"], folder, "results").records
    assert record.status is Status.OK, record
    assert (record.runtime, record.case.framework) == ("local", framework)
    assert record.software_key


@pytest.mark.engine
def test_a_user_without_a_home_is_told_the_way_out(folder: Path, image_ids: dict[str, str]) -> None:
    nobody = ("--user", "54321:54321")
    ended = rented(image_ids["cpu"], folder, *nobody, line=("env", "-u", "HOME", *HARNESS))
    assert ended.returncode == 3
    assert "no home folder" in ended.stderr
    assert "export HOME=" in ended.stderr


def test_an_interpreter_without_the_framework_is_told_before_the_first_case(
    tmp_path: Path,
) -> None:
    (tmp_path / "matrix.yaml").write_text(MATRIX)
    bare = tmp_path / "bare" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    results = tmp_path / "results"
    line = ("matrix", tmp_path / "matrix.yaml", "--results", results, "--python", bare)
    ended = run_harness(*line)
    assert ended.returncode == 3
    assert f"{bare} has no numpy and no tensorflow" in ended.stderr
    assert f"{bare} -m pip install 'tensorflow>=2.15'" in ended.stderr
    assert not list(results.glob("*"))
    refused = run_harness(*line, "--runtime", "docker")
    assert refused.returncode == 2
    assert "--runtime docker runs its image's own" in refused.stderr


@pytest.mark.usefixtures("local_tensorflow")
def test_a_run_goes_on_with_another_interpreter_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "matrix.yaml").write_text(MATRIX)
    results = tmp_path / "results"
    line = ["matrix", tmp_path / "matrix.yaml", "--results", results, "--gpu", "cpu"]
    first = run_harness(*line, "--python", sys.executable)
    assert first.returncode == 0, first.stderr
    other = tmp_path / "other" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "other"], check=True)
    (site,) = (tmp_path / "other" / "lib").glob("python3*/site-packages")
    (site / "all.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    again = run_harness(*line, "--python", other, "--resume", "latest")
    assert again.returncode == 0, again.stderr
    assert f"another Python than before: {sys.executable}" in again.stderr
    assert f"now {other}" in again.stderr
    run = read_run(find_run("latest", results))
    assert len(run.info.invocations) == 2
    assert len(run.records) == 1
