"""Every mistake: one clear message, the right exit code, no traceback, nothing left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import lacking, real_data, run_harness
from tests.integration.conftest import mount

ONE = "axes: {model: [model-a], dataset: [synthetic]}\ndefaults: {protocol: smoke}\n"


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    path = tmp_path / "matrix.yaml"
    path.write_text(ONE)
    return path


def own_image(folder: Path, name: str, reference: str, digest: str = "") -> dict[str, str]:
    """The setting that puts an image of the test's own into the catalog."""
    lines = [f'[images."{name}"]', f'reference = "{reference}"', 'framework = "tensorflow"']
    lines += [f'digest = "{digest}"'] if digest else []
    (folder / "images.toml").write_text("\n".join(lines) + "\n")
    return {"HARNESS_IMAGES": str(folder / "images.toml")}


def refused(code: int, *arguments: str | Path, env: dict[str, str] | None = None) -> str:
    ended = run_harness(*arguments, env=env)
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    return ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["matrix", "none.yaml"], "there is no matrix file none.yaml"),
        (["matrix", "."], "cannot read the matrix file"),
        (["matrix", "{matrix}", "--gpu", "first"], "is no GPU"),
        (["matrix", "{matrix}", "--runtime", "dokcer"], "did you mean 'docker'?"),
        (["matrix", "{matrix}", "--data-dir", "/no/such"], "is no folder"),
        (["matrix", "{matrix}", "--machine", " "], "needs a name"),
        (
            ["bench", "--model", "model-z", "--dataset", "mnist"],
            "--model: unknown model",
        ),
        (["bench", "--model", "model-a", "--dataset", "/etc/passwd"], "--data-dir"),
        (
            ["bench", "--model", "model-a", "--dataset", "mnist", "--batch-size", "-1"],
            "--batch-size: ",
        ),
        (["report", "nonsense"], "there is no run"),
        (["report", "latest", "--format", "xml"], "unknown format 'xml'"),
        (["data", "verify", "mnits"], "did you mean 'mnist'?"),
        (["images", "build", "cpuu"], "did you mean 'cpu'?"),
    ],
)
def test_bad_input_is_exit_2(
    arguments: list[str], words: str, matrix: Path, tmp_path: Path
) -> None:
    line = [argument.format(matrix=matrix) for argument in arguments]
    if line[0] in ("report", "matrix", "bench"):
        line += ["--results", str(tmp_path / "results")]
    assert words in refused(2, *line)
    assert not (tmp_path / "results").exists()


def test_a_gpu_that_is_not_there(matrix: Path, tmp_path: Path, one_gpu: dict[str, str]) -> None:
    said = refused(3, "matrix", matrix, "--gpu", "7", "--results", tmp_path / "r", env=one_gpu)
    assert "GPU 7 is not there; this machine has 0 (Pretended GPU" in said
    said = refused(3, "matrix", matrix, "--gpu", "GPU-9", "--results", tmp_path / "r")
    assert "GPU GPU-9 is not there" in said


def test_no_engine(matrix: Path, tmp_path: Path) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    said = refused(
        3, "matrix", matrix, "--runtime", "docker", "--results", tmp_path / "r", env=nowhere
    )
    assert "no Docker engine answers at unix://" in said
    assert "--runtime local" in said


def test_an_engine_on_another_machine(matrix: Path, tmp_path: Path) -> None:
    remote = {"DOCKER_HOST": "tcp://192.0.2.1:2375"}
    said = refused(2, "matrix", matrix, "--runtime", "docker", "--results", tmp_path, env=remote)
    assert "is on another machine" in said
    assert "install the harness there" in said


@pytest.mark.usefixtures("image_ids", "no_container_left")
def test_an_engine_without_gpu_support(
    matrix: Path, tmp_path: Path, one_gpu: dict[str, str]
) -> None:
    env = {**one_gpu, **own_image(tmp_path, "tensorflow-25.02", "harness/tensorflow-cpu:2.17.0")}
    said = refused(
        3, "matrix", matrix, "--gpu", "0", "--runtime", "docker", "--results", tmp_path, env=env
    )
    assert "cannot give a container a GPU" in said
    assert "container toolkit" in said


@pytest.mark.usefixtures("image_ids", "local_tensorflow")
def test_auto_goes_local_and_a_gpu_case_on_the_cpu_is_failed(
    matrix: Path, tmp_path: Path, one_gpu: dict[str, str]
) -> None:
    env = {**one_gpu, **own_image(tmp_path, "tensorflow-25.02", "harness/tensorflow-cpu:2.17.0")}
    ended = run_harness("matrix", matrix, "--gpu", "0", "--results", tmp_path / "r", env=env)
    assert ended.returncode == 1, ended.stderr
    assert "runtime local: the engine cannot give a container a GPU" in ended.stderr
    assert "a GPU is asked for, and TensorFlow sees none" in ended.stdout
    line = next(line for line in ended.stdout.splitlines() if line.startswith("synthetic"))
    assert line.split() == ["synthetic", "failed*"]


@pytest.mark.usefixtures("engine")
def test_an_image_that_is_nowhere(matrix: Path, tmp_path: Path) -> None:
    matrix.write_text(ONE.replace("smoke", "smoke, image: mine"))
    said = refused(
        3,
        "matrix",
        matrix,
        "--runtime",
        "docker",
        "--results",
        tmp_path,
        env=own_image(tmp_path, "mine", "localhost:1/none:1"),
    )
    assert "localhost:1/none:1 cannot be pulled" in said


@pytest.mark.usefixtures("image_ids")
@pytest.mark.parametrize("runtime", ["docker", "auto"])
def test_a_digest_that_differs(matrix: Path, tmp_path: Path, runtime: str, engine: object) -> None:
    from harness.runtimes.engine import connect

    reference = "localhost:1/harness/tampered:1"
    client = connect().client
    client.images.get("harness/tensorflow-cpu:2.17.0").tag(*reference.rsplit(":", 1))
    try:
        matrix.write_text(ONE.replace("smoke", "smoke, image: mine"))
        env = own_image(tmp_path, "mine", reference, f"sha256:{'0' * 64}")
        said = refused(3, "matrix", matrix, "--runtime", runtime, "--results", tmp_path, env=env)
        assert f"another digest: the catalog pins sha256:{'0' * 64}" in said
    finally:
        client.images.remove(reference)


def test_a_truncated_dataset(matrix: Path, tmp_path: Path) -> None:
    if real_data() is None:
        lacking("the real MNIST test files are not here")
    here = tmp_path / "data" / "mnist"
    shutil.copytree(str(real_data()) + "/mnist", here, copy_function=shutil.copyfile)
    images = here / "t10k-images-idx3-ubyte.gz"
    images.chmod(0o644)
    content = images.read_bytes()
    images.write_bytes(content[:-100])
    matrix.write_text(ONE.replace("synthetic", "mnist-10k"))
    line = ["matrix", str(matrix), "--data-dir", str(tmp_path / "data"), "--results", str(tmp_path)]
    assert "is truncated: 1648777 bytes" in refused(3, *line)
    images.write_bytes(content[:-1] + b"X")
    assert "is damaged: its SHA-256" in refused(3, *line)
    ended = run_harness("data", "verify", "mnist-10k", "--data-dir", tmp_path / "data")
    assert ended.returncode == 3
    assert "is damaged" in ended.stdout


def test_no_space_and_no_permission(matrix: Path, small_disk: Path) -> None:
    said = refused(3, "matrix", matrix, "--results", small_disk / "results")
    assert "free; the largest case needs" in said
    mount("-o", "remount,ro", small_disk)
    said = refused(3, "matrix", matrix, "--results", small_disk / "results")
    assert "cannot be written" in said or "cannot be made: Read-only" in said


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, harness.cli\n"
        "heavy = {'pydantic', 'docker', 'yaml', 'rich.live', 'tabulate', 'psutil', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
