"""Pulling by digest from a real registry on loopback, and what an engine may do on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.catalog import ImageEntry
from harness.errors import MachineError, NoImageError
from harness.images import ensure, find
from harness.runtimes.engine import Engine
from tests.conftest import run_harness
from tests.integration.registries import forget, push, serve

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``localhost:PORT`` of an empty registry."""
    with serve(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def pushed(engine: Engine, registry: str) -> Iterator[ImageEntry]:
    """A small image that is in the registry, by its digest, and no longer here."""
    repository = f"{registry}/team/small"
    digest = push(engine, f"{repository}:1", b"x" * 3_000_000)
    yield ImageEntry(reference=f"{repository}:1", digest=digest, framework="tensorflow")
    forget(engine, repository)


def test_a_missing_image_is_pulled_by_its_digest_and_found_again(
    engine: Engine, pushed: ImageEntry
) -> None:
    said: list[str] = []
    assert find(engine, pushed) is None
    here = ensure(engine, "mine", pushed, said.append)
    assert here.identity.digest == pushed.digest
    assert said[0] == f"pulling {pushed.pinned_reference}"
    assert find(engine, pushed) == here
    said.clear()
    assert ensure(engine, "mine", pushed, said.append) == here
    assert said == []


def test_a_tag_that_was_moved_is_not_taken_for_the_pinned_image(
    engine: Engine, pushed: ImageEntry
) -> None:
    """Somebody tags another image: the pinned one is pulled all the same."""
    base = engine.client.api.import_image_from_data(b"", repository="other", tag="1")
    assert base
    engine.client.images.get("other:1").tag(*pushed.reference.rsplit(":", 1))
    here = ensure(engine, "mine", pushed, lambda line: None)
    assert here.identity.digest == pushed.digest
    assert here.id != engine.client.images.get("other:1").id
    engine.client.images.remove("other:1", force=True)


def test_a_digest_that_the_registry_does_not_have(engine: Engine, pushed: ImageEntry) -> None:
    wrong = pushed.model_copy(update={"digest": "sha256:" + "0" * 64})
    with pytest.raises(NoImageError, match="cannot be pulled"):
        ensure(engine, "mine", wrong, lambda line: None)
    ensure(engine, "mine", pushed, lambda line: None)
    engine.client.images.get(pushed.pinned_reference).tag(*pushed.reference.rsplit(":", 1))
    with pytest.raises(MachineError, match=f"another digest.*is {pushed.digest}"):
        ensure(engine, "mine", wrong, lambda line: None)


def test_the_command_pulls_and_tells_the_digest(pushed: ImageEntry, tmp_path: Path) -> None:
    catalog = tmp_path / "images.toml"
    catalog.write_text(
        f'[images.mine]\nreference = "{pushed.reference}"\ndigest = "{pushed.digest}"\n'
        'framework = "tensorflow"\n'
    )
    ended = run_harness("images", "pull", "mine", env={"HARNESS_IMAGES": str(catalog)})
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"mine: {pushed.reference} {pushed.digest}\n"
    listed = run_harness("images", "list", env={"HARNESS_IMAGES": str(catalog)})
    assert (
        next(row for row in listed.stdout.splitlines() if row.startswith("mine")).split()[1]
        == "here"
    )
