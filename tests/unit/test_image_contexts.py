"""What images are built from: the catalog's entries, the context, wheels of this machine."""

from __future__ import annotations

import importlib.util
import io
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from harness.catalog import BuildEntry, ImageEntry, base_of, bases, images
from harness.errors import InputError
from harness.images import context, wheels
from harness.images.build import BuildSettings, labels

BUILT = {name: entry for name, entry in images().items() if entry.build is not None}


def of(name: str) -> BuildEntry:
    build = images()[name].build
    assert build is not None
    return build


@pytest.mark.parametrize("name", BUILT)
def test_what_an_image_is_built_from_is_there(name: str) -> None:
    build = of(name)
    assert base_of(build).reference
    dockerfile = (context.folder() / build.dockerfile).read_text()
    assert "\nARG BASE\n" in dockerfile, "the catalog alone names the base"
    assert "\nUSER 1000:1000\n" in dockerfile
    for line in context.requirements(build).splitlines():
        assert line.startswith("#") or wheels.pins(line), f"not pinned: {line}"


def test_every_dockerfile_is_in_the_catalog() -> None:
    used = {entry.build.dockerfile for entry in BUILT.values() if entry.build}
    assert used == {path.name for path in context.folder().glob("*.Dockerfile")}


def test_bases_and_images_have_names_of_their_own() -> None:
    assert not set(bases()) & set(images())


def test_a_base_that_the_catalog_does_not_know() -> None:
    with pytest.raises(InputError, match="no base nothing"):
        base_of(BuildEntry(dockerfile="d", base="nothing"))


def test_wheels_lie_in_the_context_but_not_in_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = of("cpu-torch")
    before = context.digest(build)
    wheel = tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
    wheel.write_bytes(b"PK")
    packed = io.BytesIO()
    context.pack(build, [wheel], packed)
    with tarfile.open(fileobj=packed) as tar:
        assert f"wheels/{wheel.name}" in tar.getnames()
        assert "Dockerfile" in tar.getnames()
    monkeypatch.setattr(wheels, "_find_links", lambda: [str(tmp_path)])
    assert context.digest(build) == before


def test_another_base_or_file_makes_an_image_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    build = of("cpu-torch")
    others = (
        build.model_copy(update={"base": "nvidia-torch-26.08"}),
        build.model_copy(update={"requirements": "jax-cpu-0.10.2.txt"}),
        build.model_copy(update={"scripts": ("add_packages.py",)}),
    )
    assert context.digest(build) not in {context.digest(other) for other in others}


def test_wheels_are_those_of_the_pins_in_folders_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch-2.13.0+cpu", "torch-2.12.0+cpu", "Typing_Extensions-4.16.0", "other-1"):
        (tmp_path / f"{name}-py3-none-any.whl").touch()
    links = ["https://wheels.example/torch", tmp_path.as_uri(), str(tmp_path), "/nowhere"]
    monkeypatch.setattr(wheels, "_find_links", lambda: links)
    found = wheels.local_wheels("# torch\ntorch==2.13.0\ntyping-extensions==4.16.0  # why\nother\n")
    assert [wheel.name.split("-py3")[0] for wheel in found] == [
        "Typing_Extensions-4.16.0",
        "torch-2.13.0+cpu",
    ]


def test_pips_own_setting_says_where_wheels_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "six-1.0-py3-none-any.whl").touch()
    monkeypatch.setenv("PIP_FIND_LINKS", f"https://wheels.example/ {tmp_path}")
    assert [wheel.name for wheel in wheels.local_wheels("six==1.0")] == ["six-1.0-py3-none-any.whl"]
    monkeypatch.setattr(sys, "executable", "/bin/false")  # where pip is not installed
    assert len(wheels.local_wheels("six==1.0")) == 1


def test_labels_say_what_is_inside() -> None:
    entry = images()["cpu-torch"]
    said = labels(entry, BuildSettings())
    assert said["org.opencontainers.image.version"] == "2.13.0"
    assert said["org.opencontainers.image.base.digest"] == bases()["python-3.11"].digest
    assert said["harness.framework"] == "torch"
    assert "keras==3.15.1" in said["harness.packages"].split()
    other = labels(entry, BuildSettings(base="mine:1"))
    assert other["org.opencontainers.image.base.name"] == "mine:1"
    assert "org.opencontainers.image.base.digest" not in other


def test_a_registrys_port_is_no_version() -> None:
    build = of("cpu-torch")
    mine = ImageEntry(reference="localhost:5000/me/torch:7", framework="torch", build=build)
    said = labels(mine, BuildSettings())
    assert said["org.opencontainers.image.title"] == "localhost:5000/me/torch"
    assert said["org.opencontainers.image.version"] == "7"


@pytest.fixture(scope="module")
def adding() -> ModuleType:
    """docker/add_packages.py, which runs inside images."""
    spec = importlib.util.spec_from_file_location("adding", context.folder() / "add_packages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_the_image_holds_or_bounds_wins_over_our_pins(adding: ModuleType) -> None:
    bound = set(adding.named("# its own\nh5py<3.16\n-r other.txt\n\n"))
    held = adding.constraints(
        {"torch": "2.9.0a0+nv26.8", "rich": "13.9.4"},
        adding.pins("keras==3.15.1\nh5py==3.16.0\nrich==15.0.0\n"),
        bound,
    )
    assert held == {"torch": "2.9.0a0+nv26.8", "rich": "13.9.4", "keras": "3.15.1"}


def test_touched_and_stray_packages_are_complained_of(adding: ModuleType) -> None:
    before = {"torch": "2.9", "numpy": "1.26", "old": "1"}
    after = {"torch": "2.9", "numpy": "2.4", "keras": "3.15.1", "stray": "1"}
    assert adding.complaints(before, after, {"keras": "3.15.1"}) == [
        "numpy was 1.26 and is now 2.4",
        "old was 1 and is now gone",
        "stray 1 came along, which nothing pins",
    ]
    assert adding.complaints(before, {**before, "keras": "3.15.1"}, {"keras": "3.15.1"}) == []
