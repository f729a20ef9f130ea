"""What engines say while an image is pulled, played by a client of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from harness.catalog import ImageEntry
from harness.errors import NoImageError
from harness.images import pull as pull_module
from harness.images import store
from harness.images.pull import pull
from harness.runtimes.engine import Engine


def engine(lines: list[dict[str, Any] | Exception]) -> Engine:
    def told(reference: str, **options: Any) -> Iterator[dict[str, Any]]:
        assert options == {"stream": True, "decode": True}
        for line in lines:
            if isinstance(line, Exception):
                raise line
            yield line

    client = SimpleNamespace(api=SimpleNamespace(pull=told))
    return Engine(client, "unix://x", "docker", "1", False, False, True, False, (), "/")  # type: ignore[arg-type]


def downloading(layer: str, total: int, current: int | None = None) -> dict[str, Any]:
    detail = {"total": total} if current is None else {"total": total, "current": current}
    return {"id": layer, "status": "Downloading", "progressDetail": detail}


def test_progress_adds_the_layers_and_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(float(n) for n in range(1000))
    monkeypatch.setattr(pull_module, "clock", lambda: next(now))
    lines: list[dict[str, Any] | Exception] = [downloading("a", 1 << 30)]
    lines += [downloading("b", 1 << 30, n << 20) for n in range(1, 100)]
    said: list[str] = []
    pull(engine(lines), "image@sha256:1", said.append)
    assert said[0] == "pulling image@sha256:1"
    assert "of 2.00 GiB known so far" in said[-1]
    assert 10 < len(said) < 30


@pytest.mark.parametrize(
    "line",
    [
        {"error": "manifest unknown"},
        ProtocolError("Connection broken"),
        OSError("reset"),
    ],
)
def test_what_goes_wrong_is_one_clear_error(line: dict[str, Any] | Exception) -> None:
    with pytest.raises(NoImageError, match="image cannot be pulled: ") as refused:
        pull(engine([downloading("a", 5, 1), line]), "image", lambda text: None)
    assert "docker login" in refused.value.next_step


def test_no_space_is_found_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "find", lambda engine, entry: None)
    entry = ImageEntry(reference="x:1", framework="tensorflow", disk=1 << 60)
    with pytest.raises(NoImageError, match=r"needs about 2097152\.00 TiB on the engine.s disk"):
        store.ensure(engine([]), "big", entry, lambda text: None)
