"""Pull an image by digest, with progress."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.errors import NoImageError
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain
from harness.units import human_bytes

TELL_EVERY_S = 5.0

clock = time.monotonic


def pull(engine: Engine, reference: str, on_progress: Callable[[str], None]) -> None:
    """Raises NoImageError where the registry cannot be reached or refuses."""
    layers: dict[str, tuple[int, int]] = {}
    told = clock()
    on_progress(f"pulling {reference}")
    try:
        for line in engine.client.api.pull(reference, stream=True, decode=True):
            if "error" in line:
                raise NoImageError(f"{reference} cannot be pulled: {line['error']}", _step(engine))
            detail = line.get("progressDetail") or {}
            if line.get("status") == "Downloading" and detail.get("total"):
                # Where nothing has come yet, an engine leaves `current` out.
                layers[str(line.get("id"))] = (detail.get("current") or 0, detail["total"])
                if clock() - told >= TELL_EVERY_S:
                    told = clock()
                    on_progress(_so_far(layers))
    except ENGINE_ERRORS as error:
        raise NoImageError(
            f"{reference} cannot be pulled: {explain(error)}", _step(engine)
        ) from error


def _so_far(layers: dict[str, tuple[int, int]]) -> str:
    done, total = (sum(column) for column in zip(*layers.values(), strict=True))
    return f"  {human_bytes(done)} of {human_bytes(total)} known so far"


def _step(engine: Engine) -> str:
    login = f"{engine.kind} login"
    return f"check the network and {login}, or measure without a container: --runtime local"
