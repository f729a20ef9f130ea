"""The runtime apptainer: its command line word for word, and its process path.

No Apptainer is needed: the process path runs `fake_apptainer.py`, which keeps its arguments and
runs the inner command unconfined. tests/integration/test_apptainer.py starts the real one.
``HARNESS_SNAPSHOTS=write pytest tests/unit/test_apptainer.py`` writes the command lines anew.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from harness.campaign import run
from harness.catalog import BuildEntry, ImageEntry
from harness.doctor.containers import ask_apptainer
from harness.errors import InfraError, MachineError, NoEngineError, NoGpuSupportError, NoImageError
from harness.model import Device, LaunchSpec
from harness.plan import runtime as plan_runtime
from harness.plan.runtime import Need, choose_runtime
from harness.report import render
from harness.results.reading import read_run
from harness.runtimes import apptainer_images
from harness.runtimes.apptainer import ApptainerRuntime, find_program
from harness.runtimes.apptainer_images import ensure, sif_name
from harness.runtimes.apptainer_options import Terms, command_line
from harness.runtimes.processes import ProcessAttempt
from tests.unit import fake_apptainer
from tests.unit.runs import completing, prepared

SNAPSHOTS = Path(__file__).parent / "snapshots"
DIGEST = "sha256:" + "ab" * 32
CPU = Device(kind="cpu")
NVIDIA = Device(kind="gpu", name="RTX 2060", uuid="GPU-aaa", vendor="nvidia")
AMD = Device(kind="gpu", name="MI210", uuid="GPU-0123456789abcdef", vendor="amd")
PINNED = ImageEntry(reference="localhost:1/tf:25.02", framework="tensorflow", digest=DIGEST)
BY_TAG = PINNED.model_copy(update={"digest": None})

SPEC = LaunchSpec(
    workload=Path("/code/workload"),
    out=Path("/results/r1"),
    data=Path("/data/mnist"),
    weights=None,
    device=CPU,
    image="/cache/tf.sif",
    env={},
    memory_limit=None,
    labels={"harness.run": "r"},
)


# ------------------------------------------------------------------ the command line


@pytest.mark.parametrize(
    ("name", "changes", "isolates"),
    [
        ("cpu", {}, True),
        ("nvidia", {"device": NVIDIA}, True),
        ("amd", {"device": AMD}, True),
        ("weights", {"weights": Path("/weights")}, True),
        ("memory", {"memory_limit": 6 << 30}, True),
        ("no-network-isolation", {"data": None}, False),
        ("env", {"env": {"XLA_FLAGS": "--a=1,--b=2 $HOME"}, "out": Path("/r:1,a\\b")}, True),
    ],
)
def test_the_command_line(name: str, changes: dict[str, object], isolates: bool) -> None:
    terms = Terms("/usr/bin/apptainer", isolates)
    line = command_line(replace(SPEC, **changes), terms, Path("/scratch"))  # type: ignore[arg-type]
    path = SNAPSHOTS / f"apptainer-{name}.txt"
    if os.environ.get("HARNESS_SNAPSHOTS") == "write":
        path.write_text("\n".join(line) + "\n", encoding="utf-8")
    assert "\n".join(line) + "\n" == path.read_text("utf-8")


def test_only_the_attempts_folder_is_writable() -> None:
    line = command_line(replace(SPEC, weights=Path("/w")), Terms("a"), Path("/scratch"))
    binds = [value for option, value in pairwise(line) if option == "--bind"]
    assert [bind for bind in binds if not bind.endswith(":ro")] == ["/results/r1:/harness/out:rw"]
    assert len(binds) == 4
    assert not {"--writable", "--writable-tmpfs", "--fakeroot", "--keep-privs"} & set(line)


# ------------------------------------------------------------------ the process, with a stand-in


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in, found on PATH as `apptainer`."""
    path = tmp_path / "bin" / "apptainer"
    path.parent.mkdir()
    source = Path(fake_apptainer.__file__).read_text("utf-8")
    path.write_text(f"#!{sys.executable}\n{source}")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(apptainer_images, "sif_folder", lambda: tmp_path / "sif")
    return path


@pytest.fixture
def spec(tmp_path: Path) -> LaunchSpec:
    for name in ("workload", "out", "data"):
        (tmp_path / name).mkdir()
    folders = {name: tmp_path / name for name in ("workload", "out", "data")}
    return replace(SPEC, **folders, image=str(tmp_path / "image.sif"))  # type: ignore[arg-type]


def calls(program: Path) -> list[tuple[list[str], dict[str, str]]]:
    lines = (program.parent / "calls").read_text().splitlines()
    return [(words, environment) for words, environment in map(json.loads, lines)]


def started(program: Path, spec: LaunchSpec, text: str) -> ProcessAttempt:
    (spec.workload / "__main__.py").write_text(text)
    return ApptainerRuntime(str(program)).start(spec)


def output(attempt: ProcessAttempt) -> str:
    return b"".join(data for _, data in attempt.chunks()).decode()


def test_output_exit_code_and_nothing_left(program: Path, spec: LaunchSpec) -> None:
    text = "import os, sys; os.write(1, b'out '); os.write(2, b'err'); sys.exit(7)"
    attempt = started(program, spec, text)
    assert output(attempt) == "out err"
    assert attempt.result().code == 7
    attempt.remove()
    assert not attempt.scratch.exists()
    ((words, _),) = calls(program)
    assert words[words.index("--workdir") + 1] == str(attempt.scratch)


def test_a_case_is_stopped_and_killed(program: Path, spec: LaunchSpec) -> None:
    deaf = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "time.sleep(60)\n"
    )
    attempt = started(program, spec, deaf)
    try:
        chunks = attempt.chunks()  # kept, or the pipe would be closed
        assert next(chunks)[1].startswith(b"deaf")
        assert attempt.running()
        attempt.stop(0.2)
        assert attempt.result().code == 137
    finally:
        attempt.remove()


def test_the_case_gets_its_variables_and_the_program_none_that_change_the_container(
    program: Path, spec: LaunchSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "APPTAINER_BIND",
        "APPTAINERENV_A",
        "SINGULARITYENV_A",
        "LD_PRELOAD",
        "KERAS_HOME",
    ):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")
    text = "import json, os; print(json.dumps(dict(os.environ)))"
    attempt = started(program, replace(spec, env={"XLA_FLAGS": "--a=1,--b=$HOME"}), text)
    inside = json.loads(output(attempt))
    attempt.remove()
    assert inside["HOME"] == "/tmp"
    assert inside["XLA_FLAGS"] == "--a=1,--b=$HOME"
    assert inside["CUDA_VISIBLE_DEVICES"] == "-1"
    assert inside["FROM_IMAGE"] == "yes"
    ((_, given),) = calls(program)
    assert given["XDG_RUNTIME_DIR"] == "/run/user/1"
    assert not [n for n in given if n.startswith(("APPTAINER", "SINGULARITY", "LD_", "KERAS"))]


def test_a_program_that_has_gone_is_infra(spec: LaunchSpec, tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="could not be started"):
        ApptainerRuntime(str(tmp_path / "gone")).start(spec)


# ------------------------------------------------------------------ the rehearsal


def refuses(program: Path, *words: str) -> None:
    (program.parent / "refuses").write_text(" ".join(words))


def test_what_is_granted_is_not_left_out(program: Path, spec: LaunchSpec) -> None:
    runtime = ApptainerRuntime(str(program))
    assert runtime.rehearse(spec) == []
    assert runtime.terms.isolates_network
    ((words, _),) = calls(program)
    assert words[-1] == "true"


def test_an_installation_without_network_isolation_goes_on_and_says_so(
    program: Path, spec: LaunchSpec
) -> None:
    refuses(program, "--net")
    runtime = ApptainerRuntime(str(program))
    assert runtime.rehearse(spec) == ["network isolation (--net is refused here)"]
    attempt = runtime.start(spec)
    attempt.remove()
    assert "--net" not in calls(program)[-1][0]


def test_a_memory_limit_that_is_refused_is_an_error_before_the_first_case(
    program: Path, spec: LaunchSpec
) -> None:
    refuses(program, "--memory")
    runtime = ApptainerRuntime(str(program))
    with pytest.raises(MachineError, match="--memory is refused here") as error:
        runtime.rehearse(replace(spec, memory_limit=1 << 30))
    assert "cgroups v2" in error.value.next_step
    assert runtime.terms.isolates_network


def test_an_image_that_does_not_start_is_an_error(program: Path, spec: LaunchSpec) -> None:
    refuses(program, "exec")
    with pytest.raises(MachineError, match="exec is refused here"):
        ApptainerRuntime(str(program)).rehearse(spec)


@pytest.mark.parametrize(("device", "kind"), [(NVIDIA, "nv"), (AMD, "rocm")])
def test_a_machine_without_the_drivers_libraries_gives_no_gpu(
    program: Path, spec: LaunchSpec, device: Device, kind: str
) -> None:
    said = f"WARNING: Could not find any {kind} files on this host!\n"
    (program.parent / "says").write_text(said)
    runtime = ApptainerRuntime(str(program))
    with pytest.raises(NoGpuSupportError, match=f"{device.name}: Could not find any {kind} files"):
        runtime.rehearse(replace(spec, device=device))
    assert runtime.rehearse(spec) == []


def test_the_program_is_apptainer_or_else_singularity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoEngineError, match="neither apptainer nor singularity"):
        find_program()
    for name in ("singularity", "apptainer"):
        (tmp_path / name).touch(mode=0o755)
        assert find_program() == str(tmp_path / name)


# ------------------------------------------------------------------ images


def test_names_of_sif_files() -> None:
    assert sif_name(PINNED) == "sha256-" + "ab" * 32 + ".sif"
    assert sif_name(BY_TAG) == "localhost-1-tf-25.02.sif"
    assert sif_name(BY_TAG, "0123456789abcdef") == "localhost-1-tf-25.02-0123456789ab.sif"


def test_an_image_is_pulled_once_by_its_digest(program: Path) -> None:
    said: list[str] = []
    path = ensure(str(program), "mine", PINNED, said.append)
    assert path.read_text() == f"docker://localhost:1/tf@{DIGEST}"
    assert ensure(str(program), "mine", PINNED, said.append) == path
    assert len(calls(program)) == 1
    assert said == [f"pulling localhost:1/tf@{DIGEST} into {path}"]
    assert [file.suffix for file in path.parent.iterdir() if file != path] == [".lock"]


def test_the_pull_has_the_callers_credentials(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPTAINER_DOCKER_USERNAME", "somebody")
    ensure(str(program), "mine", BY_TAG, print)
    assert calls(program)[0][1]["APPTAINER_DOCKER_USERNAME"] == "somebody"


def test_two_harnesses_pull_once(program: Path) -> None:
    (program.parent / "says").write_text("INFO:    working\n")
    said: list[str] = []
    both = [
        threading.Thread(target=ensure, args=(str(program), "mine", PINNED, said.append))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(calls(program)) == 1
    assert said.count("  INFO:    working") == 1


def test_a_pull_that_fails_leaves_nothing_and_quotes_the_program(program: Path) -> None:
    refuses(program, "pull")
    with pytest.raises(NoImageError, match=r"cannot be pulled: FATAL: +pull is refused") as error:
        ensure(str(program), "mine", PINNED, print)
    assert "registry login" in error.value.next_step
    left = [file.suffix for file in apptainer_images.sif_folder().iterdir()]
    assert left == [".lock"]


def test_an_image_that_is_built_here_is_told_with_the_command(program: Path) -> None:
    made = BuildEntry(dockerfile="x.Dockerfile", base="x")
    entry = BY_TAG.model_copy(update={"build": made, "reference": "harness/x:1"})
    with pytest.raises(NoImageError, match="apptainer can only pull") as error:
        ensure(str(program), "mine", entry, print, context="c" * 64)
    path = apptainer_images.sif_folder() / f"harness-x-1-{'c' * 12}.sif"
    assert f"{program} build {path} docker-daemon://harness/x:1" in error.value.next_step
    path.parent.mkdir()
    path.touch()
    assert ensure(str(program), "mine", entry, print, context="c" * 64) == path


def test_a_disk_that_is_too_small_is_told_before_the_pull(program: Path) -> None:
    huge = PINNED.model_copy(update={"disk": 1 << 60})
    with pytest.raises(NoImageError, match="needs about"):
        ensure(str(program), "mine", huge, print)


@pytest.mark.parametrize("entry", [PINNED, BY_TAG], ids=["pinned", "by tag"])
def test_the_choice_holds_the_image_and_what_was_left_out(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: ImageEntry
) -> None:
    refuses(program, "--net")
    monkeypatch.setattr(plan_runtime, "images", lambda: {"mine": entry})
    need = Need("tensorflow", "mine", CPU, asked_for_image=True, memory_limit=None)
    said: list[str] = []
    chosen = choose_runtime("apptainer", [need], said.append, tmp_path)
    told = [line for line in said if "is unpinned" in line]
    assert len(told) == (entry.digest is None)
    assert chosen.runtime.name == "apptainer"
    assert chosen.reason == "asked for; without network isolation (--net is refused here)"
    assert chosen.left_out == ("network isolation (--net is refused here)",)
    assert chosen.images["mine"].id.endswith(".sif")
    assert chosen.images["mine"].identity.digest == entry.digest


def test_what_a_machine_did_not_grant_is_in_the_report(tmp_path: Path) -> None:
    one = "axes: {model: [model-a], dataset: [synthetic]}"
    made, _ = prepared(one, lambda spec: completing(), tmp_path)
    missing = "network isolation (refused)"
    placed = replace(made.placed, left_out=(missing,))
    outcome = run(replace(made, placed=placed), lambda event: None)
    text = render([read_run(outcome.folder)], "table")
    assert f"{outcome.folder.name} ran without {missing}" in text


def test_the_doctor_tells_of_it_where_it_is_installed(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = ask_apptainer()
    assert found.ok is None  # it opens no way that anything but its own option takes
    assert found.what.startswith("apptainer version 1.3.6")
    refuses(program, "--version")
    (broken,) = ask_apptainer()
    assert broken.ok is None
    assert f"{program} does not answer" in broken.what
    monkeypatch.setenv("PATH", "/nowhere")
    assert ask_apptainer() == []
