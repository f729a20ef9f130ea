from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import click
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.catalog import datasets, images, models
from harness.catalog.images import BuildEntry, ImageEntry
from harness.cli.doctor import lines
from harness.doctor import Asked, Finding, checks, containers, examine
from harness.doctor.examine import bytes_of
from harness.errors import MachineError, NoEngineError, NoFrameworkError, NoGpuSupportError
from harness.host.gpus import Gpu, Gpus
from harness.images import ImageHere
from harness.model import Device, ImageIdentity, LaunchSpec
from harness.preflight import (
    MODEL_B_MEMORY,
    check_driver,
    check_memory,
    check_results,
    free_bytes,
    nearest_existing,
    space_for,
    why_not_writable,
    worries,
)
from harness.runtimes.engine import Engine

GIB = 1 << 30
CARD = Gpu(0, "GPU-aaa", "RTX 2060", 6 * GIB)
NO_GPU = Gpus((), problem="NVML Shared Library Not Found")
TWO = Gpus((CARD, Gpu(1, "GPU-bbb", "RTX 3070", 8 * GIB)), driver="570.86.10")
PULLED = ImageEntry(reference="r.example/tf:1", framework="tensorflow", min_driver="570")
BUILT = ImageEntry(
    reference="harness/cpu:1",
    framework="tensorflow",
    build=BuildEntry(dockerfile="d", base="b", requirements="r"),
)
HERE = ImageHere("sha256:1", ImageIdentity(reference="x", digest="sha256:0123456789abcdef"))
FINE = Finding("x", True, "fine")
CLOSED = Finding("engine", False, "none", "start it")


def engine(rootless: bool = False) -> Engine:
    said = {"kind": "docker", "version": "20.10", "rootless": rootless, "remaps_users": False}
    said["limits"] = not rootless
    return cast(Engine, SimpleNamespace(**said))


# ------------------------------------------------------------------ the engine, GPUs, drivers


def test_an_engine_says_its_version_and_whether_it_is_rootless() -> None:
    assert checks.check_engine(engine()) == Finding("engine", True, "Docker 20.10")
    assert checks.check_engine(engine(rootless=True)).what == (
        "Docker 20.10, rootless, limits no memory"
    )


def test_gpus_found_none_and_one_that_is_lost() -> None:
    found = checks.check_gpus(TWO)
    assert found.ok is True
    assert found.what == "0 RTX 2060 6.00 GiB, 1 RTX 3070 8.00 GiB"
    none = checks.check_gpus(NO_GPU)
    assert none.ok is None
    assert none.what == "none that NVML or AMD's driver sees (NVML Shared Library Not Found)"
    lost = checks.check_gpus(Gpus((CARD,), "570", "GPU 1: GPU is lost"))
    assert lost.ok is None
    assert "GPU 1: GPU is lost" in lost.what
    assert "nvidia-smi" in lost.mend


@pytest.mark.parametrize(
    ("driver", "minimum", "ok"),
    [
        ("570.86.10", "570", True),
        ("570", "570", True),
        ("1000.1", "570", True),
        ("570.9", "570.86", False),
        ("535.183.01", "570", False),
        ("570", "570.26", False),
        ("an unknown one", "570", None),
        ("", "570", None),
        (None, "570", None),
    ],
)
def test_the_driver_against_the_images_minimum(
    driver: str | None, minimum: str, ok: bool | None
) -> None:
    found = check_driver(driver, minimum, "tensorflow-25.02")
    assert found.ok is ok
    assert bool(found.mend) == (ok is False)
    assert "tensorflow-25.02" in found.what


@given(st.lists(st.integers(0, 999), min_size=1, max_size=3), st.integers(1, 50))
def test_a_newer_driver_never_lacks_what_an_older_one_has(parts: list[int], more: int) -> None:
    older = ".".join(map(str, parts))
    newer = ".".join(map(str, [parts[0] + more, *parts[1:]]))
    assert check_driver(newer, older, "x").ok is True
    assert check_driver(older, newer, "x").ok is False


def test_only_the_image_that_gpu_cases_take_makes_an_old_driver_an_obstacle() -> None:
    catalog = {"nvidia": PULLED, "cpu": BUILT}
    (found,) = checks.check_drivers("535.1", catalog, wanted="nvidia", proven=False)
    assert found.ok is False
    assert found.mend.startswith("install NVIDIA's driver 570 or newer")
    (proven,) = checks.check_drivers("535.1", catalog, wanted="nvidia", proven=True)
    assert proven.ok is None
    assert proven.what.endswith("; yet it starts")
    (another,) = checks.check_drivers("535.1", catalog, wanted="cpu", proven=False)
    assert another.ok is None
    assert another.mend


def test_the_shipped_catalog_says_which_driver_nvidias_image_needs() -> None:
    assert images()["tensorflow-25.02"].min_driver == "570"
    assert images()["cpu"].min_driver is None


@pytest.mark.parametrize("text", ["R570", "570.", "", "570;1"])
def test_a_minimum_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="min_driver"):
        ImageEntry(reference="x", framework="tensorflow", min_driver=text)


# ------------------------------------------------------------------ images, this environment


def test_an_image_here_to_be_built_to_be_pulled_or_unknown() -> None:
    here = checks.check_image("cpu", BUILT, HERE, engine=True)
    assert here == Finding("image cpu", True, "harness/cpu:1 sha256:0123456789ab")
    build = checks.check_image("cpu", BUILT, None, engine=True)
    assert (build.ok, build.mend) == (None, "harness images build cpu")
    pull = checks.check_image("nvidia", PULLED, None, engine=True)
    assert (pull.ok, pull.mend) == (None, "harness images pull nvidia")
    unknown = checks.check_image("cpu", BUILT, None, engine=False)
    assert (unknown.ok, unknown.mend) == (None, "")


def test_this_environment_with_and_without_the_framework() -> None:
    assert checks.check_local("tensorflow 2.17.0", None, gpu=True).ok is True
    assert checks.check_local("tensorflow-cpu 2.17.0", None, gpu=False).ok is True
    assert checks.check_local(None, None, gpu=True).ok is True
    for_cpu = checks.check_local("tensorflow-cpu 2.17.0", None, gpu=True)
    assert for_cpu.ok is False
    assert "uses no GPU" in for_cpu.what
    lacking = checks.check_local(None, NoFrameworkError("no tensorflow", "pip install"), gpu=False)
    assert lacking == Finding("local", False, "no tensorflow", "pip install")


def test_a_closed_way_stops_nobody_while_another_is_open() -> None:
    ways, verdict = checks.weigh({"docker": [CLOSED, FINE], "local": [FINE]})
    assert [found.ok for found in ways["docker"]] == [None, True]
    assert ways["docker"][0].mend == "start it"
    assert ways["local"] == [FINE]
    assert verdict == Finding("runtime", True, "cases can run with: local")
    assert checks.weigh({"docker": [CLOSED], "podman": [FINE]})[1].what.endswith(": podman")
    assert checks.weigh({"docker": [FINE], "local": [FINE]})[1].what.endswith(": docker, local")


def test_nothing_to_run_in_stops_a_run_and_names_every_remedy() -> None:
    ways, verdict = checks.weigh(
        {
            "docker": [CLOSED],
            "podman": [Finding("podman", False, "no", "start its socket")],
            "local": [Finding("local", False, "no", "pip install")],
        }
    )
    assert [way[0].ok for way in ways.values()] == [False, False, False]
    assert verdict.ok is False
    assert verdict.mend == "start it; or: start its socket; or: pip install"


def test_what_is_not_known_closes_no_way() -> None:
    unknown = {"docker": [Finding("gpu inside", None, "?")], "local": [CLOSED]}
    assert checks.weigh(unknown)[1].ok is True


@given(st.lists(st.sampled_from([True, None, False])), st.lists(st.sampled_from([True, False])))
def test_the_verdict_is_false_exactly_where_both_ways_are_closed(
    docker: list[bool | None], own: list[bool]
) -> None:
    def findings(all_ok: Iterable[bool | None]) -> list[Finding]:
        return [Finding("x", ok, "") for ok in all_ok]

    ways, verdict = checks.weigh({"docker": findings(docker), "local": findings(own)})
    assert (verdict.ok is False) == (False in docker and False in own)
    oks = [found.ok for way in ways.values() for found in way]
    assert (False in oks) == (verdict.ok is False)


# ------------------------------------------------------------------ what the engine answers


class FakeRuntime:
    """Stands for DockerRuntime: refuses GPUs by their UUIDs, and remembers what it started."""

    refused: Mapping[str, str] = {}
    toolkit = True
    started: ClassVar[list[LaunchSpec]] = []

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def require_gpu_support(self, devices: Iterable[Device]) -> None:
        assert {device.kind for device in devices} == {"gpu"}
        if not self.toolkit:
            raise NoGpuSupportError("no toolkit", "install it")

    def rehearse(self, spec: LaunchSpec) -> list[str]:
        assert spec.out.is_dir()
        self.started.append(spec)
        if spec.device.uuid in self.refused:
            raise NoGpuSupportError(self.refused[spec.device.uuid], "restart Docker")
        return [] if spec.device.uuid else ["its limits"]


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> type[FakeRuntime]:
    """An engine that holds the images `cpu` and `nvidia` and grants what FakeRuntime grants."""

    class Runtime(FakeRuntime):
        started: ClassVar[list[LaunchSpec]] = []

    monkeypatch.setattr(containers, "connect", engine)
    monkeypatch.setattr(containers, "DockerRuntime", Runtime)
    monkeypatch.setattr(containers, "find_leftovers", lambda *_: [])
    monkeypatch.setattr(containers, "find", lambda _, entry: HERE)
    return Runtime


CATALOG = {"nvidia": PULLED, "cpu": BUILT}
PREFERRED = {"cpu": "cpu", "nvidia": "nvidia", "amd": "rocm"}


def ask(gpus: Gpus, scratch: Path) -> containers.Answers:
    return containers.ask_engine(CATALOG, PREFERRED, gpus, scratch)


def test_every_gpu_is_tried_in_the_image_that_gpu_cases_take(
    fake_engine: type[FakeRuntime], tmp_path: Path
) -> None:
    answers = ask(TWO, tmp_path)
    plain, inside = answers.trials
    assert plain == Finding("container", True, "one of the image cpu starts, without its limits")
    assert inside.ok is True
    assert inside.what == "containers of the image nvidia start with GPU 0, GPU 1"
    assert answers.gpu_image == "nvidia"
    assert [spec.device.uuid for spec in fake_engine.started] == [None, "GPU-aaa", "GPU-bbb"]
    assert answers.leftovers.ok is True
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_the_engine_cannot_give(fake_engine: type[FakeRuntime], tmp_path: Path) -> None:
    fake_engine.refused = {"GPU-bbb": "the engine cannot give a container the GPU RTX 3070"}
    answers = ask(TWO, tmp_path)
    assert answers.trials[1].ok is False
    assert "RTX 3070" in answers.trials[1].what
    assert answers.trials[1].mend == "restart Docker"
    assert answers.gpu_image is None


def test_no_toolkit_is_seen_before_a_container_is_started(
    fake_engine: type[FakeRuntime], tmp_path: Path
) -> None:
    fake_engine.toolkit = False
    assert ask(TWO, tmp_path).trials[1] == Finding("gpu inside", False, "no toolkit", "install it")
    assert [spec.device.kind for spec in fake_engine.started] == ["cpu"]


def test_without_an_image_no_container_is_tried(
    fake_engine: type[FakeRuntime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "find", lambda *_: None)
    answers = ask(TWO, tmp_path)
    assert [found.ok for found in answers.trials] == [None, None]
    assert all("images build" in found.mend for found in answers.trials)
    assert fake_engine.started == []
    assert answers.images == {}


def test_without_a_gpu_none_is_tried(fake_engine: type[FakeRuntime], tmp_path: Path) -> None:
    assert [found.name for found in ask(NO_GPU, tmp_path).trials] == ["container"]


def test_a_folder_that_cannot_be_written_leaves_it_unknown(
    fake_engine: type[FakeRuntime], tmp_path: Path
) -> None:
    trials = ask(TWO, tmp_path / "none").trials
    assert [found.ok for found in trials] == [None, None]
    assert "not known" in trials[0].what


def test_no_engine_and_an_engine_that_dies_meanwhile(
    fake_engine: type[FakeRuntime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise NoEngineError("the engine failed", "start it")

    for broken in ("connect", "find_leftovers", "find"):
        with monkeypatch.context() as patch:
            patch.setattr(containers, broken, fails)
            answers = ask(TWO, tmp_path)
        assert answers.engine == Finding("engine", False, "the engine failed", "start it")
        assert answers.images is None
        assert answers.trials == ()
        assert answers.leftovers.ok is None


def test_leftovers_are_named_and_stop_nobody() -> None:
    assert checks.check_leftovers([]) == Finding("leftovers", True, "none")
    one = checks.check_leftovers(["aaa (case)"])
    assert (one.ok, one.mend) == (None, "harness clean")
    many = checks.check_leftovers([f"{number} (case)" for number in range(5)])
    assert many.what == "containers of dead runs: 0 (case), 1 (case), 2 (case) and 2 more"


# ------------------------------------------------------------------ data, disk, memory, folders


def test_a_dataset_here_missing_damaged_or_generated() -> None:
    entry = datasets()["mnist"]

    def damaged(name: str) -> Path:
        raise MachineError(f"{name} is truncated", "delete it")

    def check(locate: Any) -> Finding:
        return checks.check_dataset("mnist", entry, locate, "harness data fetch --data-dir d")

    assert check(lambda _: Path("d/mnist")) == Finding("data mnist", True, "verified, in d/mnist")
    missing = check(lambda _: None)
    assert (missing.ok, missing.mend) == (None, "harness data fetch --data-dir d mnist")
    broken = check(damaged)
    assert (broken.ok, broken.what) == (False, "mnist is truncated")
    assert broken.mend == "harness data fetch --data-dir d mnist"
    generated = checks.check_dataset("synthetic", datasets()["synthetic"], damaged, "fetch")
    assert generated.ok is True


def test_a_file_that_two_datasets_share_is_fetched_once() -> None:
    both = bytes_of(["mnist", "mnist-10k"])
    assert both == bytes_of(["mnist"]) == 9912422 + 28881 + 1648877 + 4542
    assert bytes_of([]) == bytes_of(["synthetic"]) == 0


def test_the_data_folder(tmp_path: Path) -> None:
    assert checks.check_data_folder(tmp_path, 0).ok is True
    assert checks.check_data_folder(tmp_path / "new", 1000).ok is True
    full = checks.check_data_folder(tmp_path, 1 << 60)
    assert full.ok is None
    assert "free; the missing datasets need" in full.what
    refused = MachineError("the data folder cannot be written: /x", "name another")
    assert checks.check_data_folder(refused, 1000).mend == "name another"
    assert checks.check_data_folder(refused, 0).mend == ""


def test_the_cache(tmp_path: Path) -> None:
    assert checks.check_cache(tmp_path / "a" / "b").ok is True
    (tmp_path / "file").write_text("")
    found = checks.check_cache(tmp_path / "file" / "b")
    assert found.ok is None
    assert "XDG_CACHE_HOME" in found.mend


def test_the_results_folder_is_looked_at_and_not_made(tmp_path: Path) -> None:
    results = tmp_path / "a" / "results"
    found = check_results(results, space_for(models()))
    assert found.ok is True
    assert not results.parent.exists()
    short = check_results(results, 1 << 60)
    assert short.ok is False
    assert "the largest case needs 1048576.00 TiB" in short.what
    (tmp_path / "file").write_text("")
    assert "is no folder" in check_results(tmp_path / "file", 0).what
    blocked = check_results(tmp_path / "file" / "results", 0)
    assert blocked.ok is False
    assert "cannot be made" in blocked.what
    assert blocked.mend == "name another with --results"


def test_a_folder_of_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.preflight.os.access", lambda *_: False)
    assert why_not_writable(tmp_path) == "cannot be written by this user"
    assert "cannot be made" in why_not_writable(tmp_path / "new")


def test_the_nearest_folder_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert nearest_existing(tmp_path / "a" / "b") == tmp_path
    assert nearest_existing(tmp_path) == tmp_path
    monkeypatch.chdir(tmp_path)
    assert nearest_existing(Path("a/b")) == tmp_path
    assert free_bytes(Path("a/b")) > 0
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert why_not_writable(tmp_path / "dangling") == "is no folder"


@pytest.mark.parametrize(
    ("total", "available", "ok", "mend"),
    [
        (16 * GIB, 12 * GIB, True, ""),
        (16 * GIB, MODEL_B_MEMORY, True, ""),
        (16 * GIB, MODEL_B_MEMORY - 1, None, "end programs that hold memory"),
        (4 * GIB, 3 * GIB, None, "measure model-a, which needs less"),
    ],
)
def test_memory_is_never_an_obstacle(
    total: int, available: int, ok: bool | None, mend: str
) -> None:
    found = check_memory(total, available)
    assert (found.ok, found.mend) == (ok, mend)
    assert ("model-b" in found.what) == (ok is None)


def test_what_a_run_tells_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    small = SimpleNamespace(total=4 * GIB, available=3 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: small)
    assert worries(["model-a"], ["cpu"], "535.1") == []
    assert [w.name for w in worries(["model-b-2021"], [], None)] == ["memory"]
    (old,) = worries([], ["tensorflow-25.02", "tensorflow-25.02"], "535.1")
    assert old.what == "535.1, and tensorflow-25.02 needs 570 or newer"
    assert worries([], ["tensorflow-25.02"], "570.1") == []
    assert worries([], ["tensorflow-25.02"], None) == []


# ------------------------------------------------------------------ all of it, and how it looks


def _examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: Gpus) -> dict[str, Finding]:
    monkeypatch.setattr(sys.modules[examine.__module__], "find_gpus", lambda: gpus)
    asked = Asked(tmp_path / "results", (tmp_path / "data",), lambda _: None)
    return {found.name: found for found in examine(asked)}


def test_all_of_it_on_a_machine_with_gpus(
    fake_engine: type[FakeRuntime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _examined(tmp_path, monkeypatch, TWO)
    assert list(found)[:5] == ["engine", "gpu", "driver", "container", "gpu inside"]
    assert found["gpu inside"].what.startswith("containers of the image tensorflow-25.02")
    assert found["runtime"].ok is True
    assert found["results"].ok is True
    assert found["data mnist"].ok is None
    assert {f"image {name}" for name in images()} <= set(found)
    assert {f"data {name}" for name in datasets()} <= set(found)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_holds_the_smallest_model_stops_nobody(
    fake_engine: type[FakeRuntime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=space_for(["model-a"]))
    monkeypatch.setattr("harness.preflight.shutil.disk_usage", lambda _: usage)
    assert _examined(tmp_path, monkeypatch, NO_GPU)["results"].ok is None
    usage.free -= 1
    assert _examined(tmp_path, monkeypatch, NO_GPU)["results"].ok is False


def test_lines_are_aligned_and_the_remedy_stands_below() -> None:
    shown = lines(
        [
            Finding("engine", True, "Docker 20.10"),
            Finding("gpu", None, "none"),
            Finding("results", False, "no\nspace", "free some"),
        ]
    )
    assert [click.unstyle(line) for line in shown] == [
        "ok  engine   Docker 20.10",
        "--  gpu      none",
        "!!  results  no space",
        "             free some",
    ]
    assert lines([]) == []
