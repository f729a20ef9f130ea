"""Pull an image by digest, with progress."""

from __future__ import annotations

from collections.abc import Callable

from docker.errors import DockerException
from requests.exceptions import RequestException

from harness.errors import NoImageError
from harness.runtimes.engine import Engine
from harness.units import human_bytes


def pull(engine: Engine, reference: str, on_progress: Callable[[str], None]) -> None:
    """Raises NoImageError where the registry cannot be reached or refuses."""
    layers: dict[str, tuple[int, int]] = {}
    on_progress(f"pulling {reference}")
    try:
        for line in engine.client.api.pull(reference, stream=True, decode=True):
            if "error" in line:
                raise NoImageError(f"{reference} cannot be pulled: {line['error']}", _STEP)
            detail = line.get("progressDetail") or {}
            if line.get("status") == "Downloading" and detail.get("total"):
                layers[str(line.get("id"))] = (int(detail["current"]), int(detail["total"]))
                done, total = (sum(column) for column in zip(*layers.values(), strict=True))
                on_progress(f"pulling {human_bytes(done)} of {human_bytes(total)} known so far")
    except (DockerException, RequestException) as error:
        raise NoImageError(f"{reference} cannot be pulled: {error}", _STEP) from error


_STEP = "check the network and docker login, or measure without a container: --runtime local"
