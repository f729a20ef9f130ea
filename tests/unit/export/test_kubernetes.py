"""Kubernetes Jobs: what is in them, and what is refused."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from harness.catalog import images
from harness.errors import ExitCode
from harness.export import kubernetes
from harness.export.naming import LONGEST
from harness.matrix import expand, parse
from tests.unit.export.commands import MATRIX, Command, documents
from tests.unit.export.snapshots import same

SHA256 = hashlib.sha256(MATRIX.encode()).hexdigest()


def test_the_file_word_for_word(export: Command, file: Path) -> None:
    said = export("kubernetes", file)
    assert (said.code, said.err) == (0, "")
    same("kubernetes.yaml", said.out)


def test_a_job_for_each_case_with_one_gpu_and_never_again(export: Command, file: Path) -> None:
    config, *jobs = documents(export("kubernetes", file, "--namespace", "lab").out)
    assert config["data"]["matrix.yaml"] == MATRIX
    ids = [case.id for case in expand(parse(MATRIX))]
    assert [job["metadata"]["annotations"]["harness/case"] for job in jobs] == ids
    assert len({job["metadata"]["name"] for job in jobs}) == len(ids) == 2
    for job, case_id in zip(jobs, ids, strict=True):
        assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
        assert job["metadata"]["namespace"] == config["metadata"]["namespace"] == "lab"
        assert job["spec"]["backoffLimit"] == 0
        pod = job["spec"]["template"]["spec"]
        assert pod["restartPolicy"] == "Never"
        (measure,) = pod["containers"]
        assert measure["resources"]["limits"] == {"nvidia.com/gpu": "1"}
        assert measure["image"] == images()["tensorflow-25.02"].pinned_reference
        env = {one["name"]: one["value"] for one in measure["env"]}
        assert env["HARNESS_SELECTION"].split("\n") == ["--only", f"id={case_id}"]
        assert env["HARNESS_MATRIX_SHA256"] == SHA256
        (config_volume,) = [one for one in pod["volumes"] if one["name"] == "config"]
        assert config_volume["configMap"]["name"] == config["metadata"]["name"]


def test_least_privilege_in_every_container(export: Command, file: Path) -> None:
    _, job, _ = documents(export("kubernetes", file).out)
    pod = job["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}} in pod[
        "volumes"
    ]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
        assert set(mounts) == {"/etc/harness", "/harness", "/tmp", "/dev/shm"}
        assert mounts["/etc/harness"]["readOnly"] is True


def test_where_and_how_is_chosen(export: Command, file: Path) -> None:
    said = export(
        *("kubernetes", file, "--image", "me/tf@sha256:1", "--cpus", "8", "--memory", "32Gi"),
        *("--node", "nvidia.com/gpu.product=NVIDIA-L4", "--claim", "results"),
        *("--skip", "model=model-b"),
    )
    _, job = documents(said.out)
    pod = job["spec"]["template"]["spec"]
    (measure,) = pod["containers"]
    assert measure["image"] == "me/tf@sha256:1"
    assert measure["resources"]["requests"] == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L4"}
    env = {one["name"]: one["value"] for one in measure["env"]}
    assert env["HARNESS_RESULTS"] == f"/results/{job['metadata']['name']}"
    assert env["HARNESS_PRINT_RESULTS"] == "0"
    claimed = {"name": "results", "persistentVolumeClaim": {"claimName": "results"}}
    assert claimed in pod["volumes"]


def named(text: str) -> set[str]:
    """What an export calls its own: names, the label, folders in a volume."""
    found = set()
    for made in documents(text):
        found |= {made["metadata"]["name"], made["metadata"]["labels"]["harness/matrix"]}
        if made["kind"] == "Job":
            env = made["spec"]["template"]["spec"]["containers"][0]["env"]
            found |= {one["value"] for one in env if one["name"] == "HARNESS_RESULTS"}
    return found


def test_what_changes_a_job_changes_every_name(export: Command, file: Path, tmp_path: Path) -> None:
    """Two GPU models' Jobs of one matrix stand beside each other, in one volume too."""
    made = []
    wheel = tmp_path / "dl_feasibility_harness-0.1.0-py3-none-any.whl"
    for content in (b"one build", b"another"):
        wheel.write_bytes(content)
        made.append(named(export("kubernetes", file, "--harness", wheel).out))
    product = "nvidia.com/gpu.product="
    for more in (
        ["--node", product + "NVIDIA-L4", "--claim", "results"],
        ["--node", product + "NVIDIA-A100-SXM4-40GB", "--claim", "results"],
        ["--image", "me/tf@sha256:1"],
        ["--image", "me/tf@sha256:2"],
        ["--harness", "https://example.org/one.whl"],
        ["--memory", "32Gi"],
        ["--only", "model=model-a"],
        [],
    ):
        first, again = (named(export("kubernetes", file, *more).out) for _ in range(2))
        assert first == again
        made.append(first)
    file.write_text(MATRIX + "repeats: 2\n")
    made.append(named(export("kubernetes", file).out))
    assert len(set().union(*made)) == sum(map(len, made))
    assert all(len(name.removeprefix("/results/")) <= LONGEST for names in made for name in names)


def test_a_wheel_travels_in_the_config_map(
    export: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "dl_feasibility_harness-0.1.0-py3-none-any.whl"
    wheel.write_bytes(bytes(range(256)))
    config, job, _ = documents(export("kubernetes", file, "--harness", wheel).out)
    assert base64.b64decode(config["binaryData"][wheel.name]) == wheel.read_bytes()
    (measure,) = job["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one["value"] for one in measure["env"]}
    assert env["HARNESS_REQUIREMENT"] == f"/etc/harness/{wheel.name}"
    monkeypatch.setattr(kubernetes, "MOST_IN_CONFIG_MAP", 100)
    said = export("kubernetes", file, "--harness", wheel)
    assert (said.code, "by its address" in said.err) == (ExitCode.BAD_INPUT, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--namespace", "My Lab"], "--namespace 'My Lab' is no name"),
        (["--namespace", ""], "is no name"),
        (["--claim", "-x"], "is no name"),
        (["--node", "L4"], "not of the form LABEL=VALUE"),
        (["--node", "a=b c"], "not of the form LABEL=VALUE"),
        (["--cpus", "many"], "is no quantity"),
        (["--memory", "16GB"], "is no quantity"),
        (["--image", "a b"], "is no image"),
        (["--only", "model=model-c"], "leave none of the 2 cases"),
        (["--harness", "none.whl"], "there is no such file"),
    ],
)
def test_wrong_options(export: Command, file: Path, options: list[str], told: str) -> None:
    said = export("kubernetes", file, *options)
    assert (said.code, said.out) == (ExitCode.BAD_INPUT, "")
    assert told in said.err


def test_wrong_matrices(export: Command, file: Path, tmp_path: Path) -> None:
    missing = export("kubernetes", tmp_path / "none.yaml")
    assert (missing.code, "there is no matrix file" in missing.err) == (ExitCode.BAD_INPUT, True)
    file.write_text(MATRIX.replace("defaults: {", "defaults: {gpu: 0, "))
    assert "names the gpu itself" in export("kubernetes", file).err
    file.write_text(MATRIX.replace("defaults: {", "defaults: {framework: jax, "))
    built = export("kubernetes", file)
    assert (built.code, "--image REGISTRY/jax-25.08" in built.err) == (ExitCode.BAD_INPUT, True)
    file.write_text(MATRIX.replace("axes: {", "axes: {framework: [jax, torch], "))
    assert "one image" in export("kubernetes", file, "--image", "me/jax").err


def test_a_file_that_is_there_stays(export: Command, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    assert export("kubernetes", file, "-o", path).out == f"wrote {path}\n"
    before = path.read_text()
    said = export("kubernetes", file, "-o", path)
    assert (said.code, f"{path} exists" in said.err) == (ExitCode.BAD_INPUT, True)
    assert path.read_text() == before
