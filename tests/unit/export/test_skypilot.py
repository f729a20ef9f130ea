"""SkyPilot tasks: what is in them, and what is refused."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from harness.catalog import images
from harness.catalog.gpu_names import clouds, gpu_names
from harness.errors import ExitCode
from harness.export.scripts import write_matrix
from harness.export.source import Source
from tests.unit.export.commands import MATRIX, Command, documents
from tests.unit.export.snapshots import same

SHA256 = hashlib.sha256(MATRIX.encode()).hexdigest()


def test_a_task_on_a_virtual_machine_word_for_word(export: Command, file: Path) -> None:
    said = export("skypilot", file, "--gpus", "l4")
    assert (said.code, said.err) == (0, "")
    same("skypilot-vm.yaml", said.out)


def test_a_task_in_a_rented_container_word_for_word(export: Command, file: Path) -> None:
    said = export("skypilot", file, "--gpus", "RTX4090", "--cloud", "runpod")
    assert (said.code, said.err) == (0, "")
    same("skypilot-container.yaml", said.out)


def test_a_file_for_each_gpu_type_and_the_same_matrix_in_each(
    export: Command, file: Path, tmp_path: Path
) -> None:
    said = export("skypilot", file, "--gpus", "L4, A100,h100,L4", "-o", tmp_path / "sky")
    assert said.code == 0
    made = {path.name: path.read_text() for path in sorted((tmp_path / "sky").iterdir())}
    assert list(made) == ["harness-a100.yaml", "harness-h100.yaml", "harness-l4.yaml"]
    tasks = {name: documents(text)[0] for name, text in made.items()}
    assert [task["resources"] for task in tasks.values()] == [
        {"accelerators": "A100:1"},
        {"accelerators": "H100:1"},
        {"accelerators": "L4:1"},
    ]
    assert len({(task["setup"], task["run"]) for task in tasks.values()}) == 1
    assert {task["envs"]["HARNESS_MATRIX_SHA256"] for task in tasks.values()} == {SHA256}
    assert {task["envs"]["HARNESS_RUNTIME"] for task in tasks.values()} == {"docker"}


def test_a_rented_container_is_the_image_by_digest(export: Command, file: Path) -> None:
    (task,) = documents(export("skypilot", file, "--gpus", "L4", "--cloud", "RunPod").out)
    pinned = images()["tensorflow-25.02"].pinned_reference
    assert "@sha256:" in pinned
    assert task["resources"] == {
        "infra": "runpod",
        "accelerators": "L4:1",
        "image_id": f"docker:{pinned}",
    }
    assert task["envs"]["HARNESS_RUNTIME"] == "local"
    assert task["envs"]["HARNESS_MODULES"] == "numpy tensorflow"


def test_in_rented_containers_each_framework_has_a_task(
    export: Command, file: Path, tmp_path: Path
) -> None:
    file.write_text(MATRIX.replace("axes: {", "axes: {framework: [tensorflow, torch], "))
    refused = export("skypilot", file, "--gpus", "L4", "--cloud", "vast")
    assert refused.code == ExitCode.BAD_INPUT
    assert "torch-26.08" in refused.err
    assert "no registry serves it" in refused.err
    one = export(
        *("skypilot", file, "--gpus", "L4", "--cloud", "vast", "--image-id", "docker:me/torch:1"),
        *("--only", "framework=torch"),
    )
    (task,) = documents(one.out)
    assert task["resources"]["image_id"] == "docker:me/torch:1"
    assert task["envs"]["HARNESS_MODULES"] == "numpy torch keras"
    assert task["envs"]["HARNESS_SELECTION"].split("\n") == ["--only", "framework=torch"]
    both = export("skypilot", file, "--gpus", "L4", "--cloud", "vast", "--image-id", "me/torch:1")
    assert (both.code, "one image" in both.err) == (ExitCode.BAD_INPUT, True)


def test_a_wheel_of_this_machine_is_copied_there(
    export: Command, file: Path, tmp_path: Path
) -> None:
    wheel = tmp_path / "dl_feasibility_harness-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    (task,) = documents(export("skypilot", file, "--gpus", "L4", "--harness", wheel).out)
    assert task["file_mounts"] == {f"~/harness-wheel/{wheel.name}": str(wheel)}
    assert task["envs"]["HARNESS_REQUIREMENT"] == f"~/harness-wheel/{wheel.name}"


@pytest.mark.parametrize(
    "text",
    [
        MATRIX,
        MATRIX.rstrip("\n"),
        MATRIX.replace("\n", "\r\n"),
        MATRIX + "# tab\there, trailing space \n\n\n",
        MATRIX + "# `id` $(id) ${HOME} \\ ' é 漢\n",
    ],
)
def test_the_matrix_arrives_byte_for_byte(
    export: Command, file: Path, tmp_path: Path, text: str
) -> None:
    file.write_bytes(text.encode())
    (task,) = documents(export("skypilot", file, "--gpus", "L4").out)
    head = write_matrix(Source("m", text, (), "h"))
    assert task["setup"].startswith(head)
    subprocess.run(["bash", "-e", "-c", head], env={"HOME": str(tmp_path)}, check=True)
    arrived = (tmp_path / "harness-export/matrix.yaml").read_bytes()
    assert arrived == text.encode()
    assert hashlib.sha256(arrived).hexdigest() == task["envs"]["HARNESS_MATRIX_SHA256"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--gpus", "A1000"], "unknown GPU 'A1000'; did you mean 'A100'?"),
        (["--gpus", "rtx409"], "did you mean 'RTX4090'?"),
        (["--gpus", "L4,,Titan"], "unknown GPU 'TITAN'; known: A10, "),
        (["--gpus", " , "], "--gpus names none"),
        (["--gpus", ""], "--gpus names none"),
        (["--gpus", "H100:8"], "write H100"),
        (["--gpus", "L4", "--cloud", "runpot"], "did you mean 'runpod'?"),
        (["--gpus", "L4", "--cloud", ""], "unknown cloud ''"),
        (["--gpus", "L4", "--image-id", " "], "is no image"),
        (["--gpus", "L4,A100"], "name a folder"),
        (["--gpus", "L4", "--harness", "none.whl"], "there is no such file"),
        (["--gpus", "L4", "--harness", "--pre"], "nothing that pip installs"),
        (["--gpus", "L4", "--harness", " "], "nothing that pip installs"),
        (["--gpus", "L4", "--only", "model=model-c"], "leave none of the 2 cases"),
    ],
)
def test_wrong_options(export: Command, file: Path, options: list[str], told: str) -> None:
    said = export("skypilot", file, *options)
    assert (said.code, said.out) == (ExitCode.BAD_INPUT, "")
    assert told in said.err


@pytest.mark.parametrize("value", ["0", "cpu", "GPU-12345678-1234-1234-1234-123456789abc"])
def test_a_matrix_that_names_its_gpu(export: Command, file: Path, value: str) -> None:
    file.write_text(MATRIX.replace("defaults: {", f"defaults: {{gpu: {value}, "))
    said = export("skypilot", file, "--gpus", "L4")
    assert said.code == ExitCode.BAD_INPUT
    assert "names the gpu itself" in said.err
    assert "take gpu out of the matrix" in said.err


@pytest.mark.parametrize(
    ("more", "told"),
    [("image: tensorflow-25.02", "names the image"), ("memory_limit: 6g", "limits memory")],
)
def test_what_no_rented_container_can_do(export: Command, file: Path, more: str, told: str) -> None:
    if more.startswith("image"):
        file.write_text(MATRIX.replace("defaults: {", f"defaults: {{{more}, "))
    else:
        file.write_text(MATRIX + more + "\n")
    on_a_machine = export("skypilot", file, "--gpus", "L4", "--cloud", "aws")
    assert on_a_machine.code == 0
    said = export("skypilot", file, "--gpus", "L4", "--cloud", "vast")
    assert (said.code, told in said.err) == (ExitCode.BAD_INPUT, True)


def test_nothing_is_written_over(export: Command, file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sky"
    folder.mkdir()
    mine = folder / "harness-a100.yaml"
    mine.write_text("mine")
    said = export("skypilot", file, "--gpus", "L4,A100", "-o", folder)
    assert (said.code, "exists" in said.err) == (ExitCode.BAD_INPUT, True)
    assert [path.name for path in folder.iterdir()] == [mine.name]
    single = export("skypilot", file, "--gpus", "A100", "-o", mine)
    assert (single.code, mine.read_text()) == (ExitCode.BAD_INPUT, "mine")
    nowhere = export("skypilot", file, "--gpus", "A100", "-o", tmp_path / "no" / "a.yaml")
    assert (nowhere.code, "cannot write" in nowhere.err) == (ExitCode.BAD_INPUT, True)
    on_a_file = export("skypilot", file, "--gpus", "A100", "-o", file.with_suffix(""))
    assert on_a_file.code == 0


def test_a_cloud_without_such_a_gpu_is_a_remark(export: Command, file: Path) -> None:
    said = export("skypilot", file, "--gpus", "A100", "--cloud", "runpod")
    assert said.code == 0
    assert "note: runpod offered no A100" in said.err


def test_the_list_of_names_is_sound() -> None:
    assert len({name.lower() for name in gpu_names()}) == len(gpu_names())
    assert {cloud for offered in gpu_names().values() for cloud in offered} <= set(clouds())
    assert set(clouds().values()) == {"vm", "container"}


def test_a_matrix_in_another_encoding_is_refused(export: Command, file: Path) -> None:
    file.write_bytes(MATRIX.encode("utf-16"))
    said = export("skypilot", file, "--gpus", "L4")
    assert (said.code, "UTF-8" in said.err) == (ExitCode.BAD_INPUT, True)
