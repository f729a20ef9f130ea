"""Digests into the catalog's text, and what registries say when they give none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from docker.errors import APIError

from harness.catalog import bases, images
from harness.catalog.images import SHIPPED, place_of
from harness.errors import InputError, NoEngineError, NoImageError
from harness.images import pin
from harness.images.pin import check_writable, rewritten, served
from harness.images.registry import registry_digest, require_asking
from harness.runtimes.engine import Engine

NEW = "sha256:" + "1" * 64


def test_the_shipped_catalog_keeps_every_other_line() -> None:
    text = SHIPPED.read_text()
    old = images()["tensorflow-25.02"].digest
    changed = rewritten(
        text, {("images", "tensorflow-25.02"): NEW, ("bases", "nvidia-jax-25.08"): NEW}
    )
    before, after = text.splitlines(), changed.splitlines()
    assert [line for line in after if line not in before] == [f'digest = "{NEW}"'] * 2
    assert [line for line in before if line not in after] == [f'digest = "{old}"']
    at = after.index(f'digest = "{NEW}"')
    assert after[at - 1] == f'reference = "{bases()["nvidia-jax-25.08"].reference}"'
    assert rewritten(text, {}) == text


def test_a_built_image_is_pinned_by_its_base() -> None:
    assert served(["torch-26.08"]) == {"nvidia-torch-26.08": bases()["nvidia-torch-26.08"]}
    assert served(["tensorflow-25.02-user"]) == {"tensorflow-25.02": images()["tensorflow-25.02"]}
    assert served(["python-3.11", "cpu"]) == {"python-3.11": bases()["python-3.11"]}
    assert set(served()) == {"tensorflow-25.02", *bases()}
    with pytest.raises(InputError, match=r"did you mean 'torch-26\.08'"):
        served(["torch-26.8"])


def test_an_entry_stands_where_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[images.mine]\nreference = "x:1"\nframework = "jax"\n')
    monkeypatch.setenv("HARNESS_IMAGES", str(mine))
    assert (place_of("mine").file, place_of("mine").table) == (mine, "images")
    assert (place_of("python-3.11").file, place_of("python-3.11").table) == (SHIPPED, "bases")


def test_the_catalog_of_an_installed_package_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(["python-3.11"])
    monkeypatch.setattr(pin, "in_checkout", lambda: False)
    with pytest.raises(InputError, match="belongs to an installed package") as refused:
        check_writable(["python-3.11"])
    assert "HARNESS_IMAGES" in refused.value.next_step


def test_an_engine_that_asks_no_registry_is_not_asked() -> None:
    """Podman's socket answers such a question for itself, or not at all."""
    with pytest.raises(NoEngineError, match="Podman asks no registry") as refused:
        require_asking(cast(Engine, SimpleNamespace(kind="podman")))
    assert "skopeo inspect" in refused.value.next_step
    require_asking(cast(Engine, SimpleNamespace(kind="docker")))


@pytest.mark.parametrize(
    ("status", "said", "message", "step"),
    [
        (404, "manifest unknown: manifest unknown", "has no image", "correct its reference"),
        (500, "Head …: no basic auth credentials", "refuses to tell", "docker login r.example"),
        (401, "unauthorized: authentication required", "refuses to tell", "docker login"),
        (403, "denied: requested access is denied", "refuses to tell", "of a missing image, too"),
        (500, "Get …: dial tcp: lookup r: no such host", "cannot be reached", "check the network"),
        (500, "dial tcp 127.0.0.1:1: connect: connection refused", "cannot be reached", "network"),
        (500, "x509: certificate signed by unknown authority", "cannot be reached", "network"),
        (404, "Not Found", "engine cannot ask", "docker pull"),
        (400, "invalid reference format", "engine cannot ask", "docker pull"),
    ],
)
def test_failures_are_told_apart(status: int, said: str, message: str, step: str) -> None:
    def inspect(reference: str) -> Any:
        raise APIError("x", SimpleNamespace(status_code=status), explanation=said)  # type: ignore[arg-type]

    engine = Engine.__new__(Engine)
    api = SimpleNamespace(inspect_distribution=inspect)
    object.__setattr__(engine, "client", SimpleNamespace(api=api))
    with pytest.raises(NoImageError, match=message) as refused:
        registry_digest(engine, "r.example/team/x:1")
    assert said in refused.value.message
    assert step in refused.value.next_step
