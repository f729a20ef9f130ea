"""Digests asked of a real registry, written into the catalog, and compared with what is here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from harness.catalog import ImageEntry, images
from harness.errors import NoImageError
from harness.images import ensure, find
from harness.results.reading import find_run, read_run
from harness.runtimes.engine import Engine
from tests.conftest import run_harness
from tests.integration.conftest import mount
from tests.integration.registries import (
    PASSWORD,
    docker_config,
    forget,
    free_port,
    push,
    serve,
)

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry(storage: Path) -> Iterator[str]:
    with serve(storage) as address:
        yield address


@pytest.fixture
def team(engine: Engine, registry: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A repository of this test's own in the registry."""
    repository = f"{registry}/team/{request.node.name.replace('_', '-')}"
    yield repository
    forget(engine, repository)


class Catalog:
    """A user's catalog file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_text("# Images of our team.\n")

    def add(self, name: str, reference: str, more: str = "") -> None:
        with self.path.open("a") as file:
            file.write(
                f'\n[images.{name}]\nreference = "{reference}" # ours\n'
                f'framework = "tensorflow"\n{more}'
            )

    def run(
        self, *arguments: str | Path, env: dict[str, str] | None = None
    ) -> CompletedProcess[str]:
        return run_harness(
            "images", *arguments, env={"HARNESS_IMAGES": str(self.path), **(env or {})}
        )


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "images.toml")


def test_the_registrys_digest_is_written_and_nothing_else_changes(
    engine: Engine, team: str, catalog: Catalog
) -> None:
    digest = push(engine, f"{team}:1", b"first")
    catalog.add("mine", f"{team}:1")
    catalog.add("other", "somewhere.example/other:1")
    before = catalog.path.read_text()
    tried = catalog.run("pin", "mine", "--dry-run")
    assert (tried.returncode, catalog.path.read_text()) == (0, before)
    assert tried.stdout == f"mine: unpinned -> {digest} (not written)\n"
    pinned = catalog.run("pin", "mine")
    assert pinned.returncode == 0, pinned.stderr
    assert pinned.stdout == f"mine: unpinned -> {digest} ({catalog.path})\n"
    line = f'digest = "{digest}"\n'
    assert line in catalog.path.read_text()
    assert catalog.path.read_text().replace(line, "") == before
    assert catalog.run("pin", "mine").stdout == f"mine: unchanged, {digest}\n"
    newer = push(engine, f"{team}:1", b"second")
    assert newer != digest
    assert f"mine: {digest} -> {newer}" in catalog.run("pin", "mine").stdout
    assert catalog.path.read_text().replace(f'digest = "{newer}"\n', "") == before
    assert catalog.run("pull", "mine").stdout == f"mine: {team}:1 {newer}\n"


def test_each_failure_is_told_apart_and_keeps_nothing_from_the_others(
    engine: Engine, team: str, catalog: Catalog
) -> None:
    digest = push(engine, f"{team}:1", b"content")
    catalog.add("mine", f"{team}:1")
    catalog.add("gone", f"{team}:2")
    catalog.add("dark", f"localhost:{free_port()}/team/x:1")
    ended = catalog.run("pin", "gone", "mine", "dark")
    assert ended.returncode == 1
    assert f"mine: unpinned -> {digest}" in ended.stdout
    assert f"error: gone stays unpinned: the registry has no image {team}:2" in ended.stderr
    assert "try: correct its reference in the catalog" in ended.stderr
    assert "error: dark stays unpinned: the registry of localhost:" in ended.stderr
    assert "cannot be reached" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert catalog.path.read_text().count("digest") == 1
    alone = catalog.run("pin", "gone")
    assert (alone.returncode, alone.stdout) == (3, "")


def test_dockers_own_credentials_are_used_and_never_told(
    engine: Engine, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, catalog: Catalog
) -> None:
    with serve(tmp_path_factory.mktemp("closed"), credentials=True) as closed:
        digest = push(engine, f"{closed}/team/secret:1", b"content", login=True)
        catalog.add("mine", f"{closed}/team/secret:1")
        nobody = catalog.run("pin", "mine", env={"DOCKER_CONFIG": str(tmp_path / "nothing")})
        wrong = catalog.run("pin", "mine", env=docker_config(tmp_path, closed, "wrong"))
        for refused in (nobody, wrong):
            assert refused.returncode == 3
            assert "the registry refuses to tell of" in refused.stderr
            assert f"try: docker login {closed}" in refused.stderr
        unpulled = catalog.run("pull", "mine", env=docker_config(tmp_path, closed, "wrong"))
        assert unpulled.returncode == 3
        assert "cannot be pulled: " in unpulled.stderr
        assert "docker login" in unpulled.stderr
        config = docker_config(tmp_path, closed, PASSWORD)
        right = catalog.run("pin", "mine", env=config)
        assert right.stdout == f"mine: unpinned -> {digest} ({catalog.path})\n"
        pulled = catalog.run("pull", "mine", env=config)
        assert pulled.returncode == 0, pulled.stderr
        secret = (tmp_path / "config.json").read_text().split('"')[-2]
        for ended in (wrong, unpulled, right, pulled):
            assert PASSWORD not in ended.stdout + ended.stderr
            assert secret not in ended.stdout + ended.stderr
        forget(engine, f"{closed}/team/secret")


def test_a_file_that_may_not_be_written_is_refused_before_anything_is_asked(
    small_disk: Path, catalog: Catalog
) -> None:
    catalog.add("mine", f"localhost:{free_port()}/team/x:1")
    path = small_disk / "images.toml"
    path.write_text(catalog.path.read_text())
    catalog.path = path
    mount("-o", "remount,ro", small_disk)
    refused = catalog.run("pin", "mine")
    assert refused.returncode == 2
    assert f"{path} may not be written" in refused.stderr
    assert "HARNESS_IMAGES" in refused.stderr
    assert "cannot be reached" in catalog.run("pin", "mine", "--dry-run").stderr


def test_what_is_here_is_compared_with_the_catalog(
    engine: Engine, team: str, catalog: Catalog
) -> None:
    digest = push(engine, f"{team}:1", b"content")
    catalog.add("mine", f"{team}:1", f'digest = "{digest}"\n')
    catalog.add("loose", f"{team}:1")
    missing = catalog.run("verify", "mine")
    assert missing.returncode == 1
    assert row(missing, "mine") == "missing: harness images pull mine"
    assert row(catalog.run("verify"), "mine").startswith("missing")
    engine.client.images.pull(team, tag="1")
    here = catalog.run("verify", "mine", "loose")
    assert here.returncode == 0, here.stdout
    assert row(here, "mine") == f"here, pinned: {digest}"
    assert row(here, "loose").startswith("here, unpinned: its tag alone says")
    forget(engine, team)
    other = push(engine, f"{team}:1", b"other")
    engine.client.images.pull(team, tag="1")
    moved = catalog.run("verify")
    assert moved.returncode == 1
    assert row(moved, "mine") == f"another image: {team}:1 on this machine is {other}"


def test_an_image_that_was_not_built_from_todays_files_is_stale(
    engine: Engine, team: str, catalog: Catalog
) -> None:
    built = 'build = { dockerfile = "cpu.Dockerfile", base = "python-3.11" }\n'
    catalog.add("mine", f"{team}:1", built)
    push(engine, f"{team}:1", b"content")
    engine.client.images.pull(team, tag="1")
    stale = catalog.run("verify", "mine")
    assert stale.returncode == 1
    assert row(stale, "mine") == "stale build: built from other files than those of today"


def row(ended: CompletedProcess[str], name: str) -> str:
    """What the table says of `name`: its state and the detail."""
    rows = (re.split(r"  +", line) for line in ended.stdout.splitlines())
    return next(": ".join(rest) for first, *rest in rows if first == name)


@pytest.mark.parametrize("part", ["manifest", "layer"])
def test_what_was_tampered_with_in_the_registry_is_not_taken(
    engine: Engine, registry: str, storage: Path, part: str
) -> None:
    """Bytes changed on the registry's disk: neither the manifest nor a layer passes by digest."""
    repository = f"{registry}/tampered/{part}"
    digest = push(engine, f"{repository}:1", part.encode() * 1000)
    blobs = storage / "data" / "docker" / "registry" / "v2" / "blobs" / "sha256"
    manifest = blobs / digest[7:9] / digest[7:] / "data"
    if part == "manifest":
        manifest.write_bytes(manifest.read_bytes().replace(b'"size"', b'"Size"', 1))
    else:
        layer = manifest.read_text().rsplit("sha256:", 1)[1][:64]
        content = bytearray((blobs / layer[:2] / layer / "data").read_bytes())
        content[len(content) // 2] ^= 0xFF
        (blobs / layer[:2] / layer / "data").write_bytes(content)
    entry = ImageEntry(reference=f"{repository}:1", digest=digest, framework="tensorflow")
    with pytest.raises(NoImageError, match="cannot be pulled: ") as refused:
        ensure(engine, "mine", entry, lambda line: None)
    assert digest in refused.value.message
    assert find(engine, entry) is None


@pytest.mark.usefixtures("image_ids", "no_container_left")
def test_a_case_in_an_unpinned_image_runs_and_says_so(catalog: Catalog, tmp_path: Path) -> None:
    catalog.add("mine", images()["cpu"].reference)
    matrix = tmp_path / "matrix.yaml"
    matrix.write_text(
        "axes: {model: [model-a], dataset: [mnist-10k]}\n"
        "defaults: {protocol: smoke, image: mine}\ndataset_fallback: synthetic\n"
    )
    results = tmp_path / "results"
    where = {"HARNESS_IMAGES": str(catalog.path)}
    ended = run_harness(
        *("matrix", matrix, "--gpu", "cpu", "--offline", "--runtime", "docker"),
        *("--results", results),
        env=where,
    )
    assert ended.returncode == 0, ended.stderr
    assert "the image mine is unpinned: its tag alone says what it is" in ended.stderr
    (record,) = read_run(find_run("latest", results)).records
    assert (record.image.reference, record.image.pinned) == (images()["cpu"].reference, False)
    report = run_harness("report", results / record.run_id, env=where)
    assert "no digest pins the image or the base it was built on" in report.stdout
    assert "harness images pin" in report.stdout
