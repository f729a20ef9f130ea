"""A container's end on an engine that is slow to say so, or to remove it. On a played engine."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from harness.runtimes import docker_attempt
from harness.runtimes.docker_attempt import DockerAttempt
from harness.runtimes.engine import Engine

BUSY = APIError("unable to remove: device or resource busy")
OVER = "2026-11-24T15:15:09.126716422Z"
LATER = "2100-01-01T00:00:00Z"


class PlayedContainer:
    """Answers removals with `removals`, one after another, then with success."""

    id = "c0ffee"

    def __init__(self, *removals: Exception) -> None:
        self.left = list(removals)
        self.asked = 0
        self.output = b""

    def remove(self, **_: bool) -> None:
        self.asked += 1
        if self.left:
            raise self.left.pop(0)

    def logs(self, stdout: bool, **_: bool) -> Iterator[bytes]:
        yield from [self.output] if stdout else []


class PlayedApi:
    """Says `running` so many times before it says that the container ended at `finished`."""

    def __init__(self, running: int, finished: str) -> None:
        self.running, self.finished = running, finished

    def inspect_container(self, _: str) -> dict[str, Any]:
        self.running -= 1
        status = "running" if self.running >= 0 else "exited"
        return {"State": {"Status": status, "FinishedAt": self.finished}}


def attempt(container: PlayedContainer, api: PlayedApi | None = None) -> DockerAttempt:
    engine = SimpleNamespace(client=SimpleNamespace(api=api))
    return DockerAttempt(cast(Engine, engine), cast(Container, container))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_attempt, "REMOVAL_PAUSES_S", (0.0,) * 4)


@pytest.mark.parametrize(
    ("removals", "asked"),
    [
        ((), 1),
        ((BUSY, BUSY), 3),
        ((BUSY,) * 9, 4),
        ((BUSY, NotFound("no such container")), 2),
        ((requests.ConnectionError("it is away"),), 1),
    ],
    ids=["at once", "busy for a moment", "busy for good", "gone by itself", "away"],
)
def test_a_removal_is_asked_for_again_where_the_engine_refuses_it(
    removals: tuple[Exception, ...], asked: int
) -> None:
    container = PlayedContainer(*removals)
    attempt(container).remove()
    assert container.asked == asked


@pytest.mark.parametrize(("finished", "missing"), [(OVER, False), (LATER, True)])
def test_output_is_missing_only_where_a_container_ran_on_without_its_stream(
    monkeypatch: pytest.MonkeyPatch, finished: str, missing: bool
) -> None:
    """The engine's log is cut, and it takes its time to say that the container is over."""
    monkeypatch.setattr(docker_attempt, "SETTLING_S", 0.0)
    monkeypatch.setattr(docker_attempt, "frames_iter", lambda *_, **__: iter([(1, b"x" * 100)]))
    container = PlayedContainer()
    container.output = b"x" * 10
    said = b"".join(data for _, data in attempt(container, PlayedApi(4, finished)).chunks())
    assert said.startswith(b"x" * 100)
    assert (b"output is missing" in said) is missing
