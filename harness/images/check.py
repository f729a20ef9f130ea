"""Whether a case could run in an image, and which of our safety options keeps it from it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.catalog import ImageEntry, images
from harness.errors import MachineError, NoGpuSupportError, NoImageError
from harness.images.findings import Line, lines, works
from harness.images.pull import pull
from harness.images.store import ensure, inspect
from harness.images.trial import Options, Relax, out_folder, probe_spec, run
from harness.model import Device
from harness.results.files import held
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import Engine

Say = Callable[[str], None]


def _privileged(options: Options) -> Options:
    kept = [one for one in options["security_opt"] if one != "no-new-privileges"]
    return {"cap_drop": [], "security_opt": kept}


RELAXATIONS: tuple[tuple[str, Relax], ...] = (
    ("with a root that can be written", lambda _: {"read_only": False}),
    ("as root", lambda _: {"user": "0:0"}),
    ("with Docker's own capabilities", _privileged),
    ("as root with Docker's own capabilities", lambda o: {"user": "0:0", **_privileged(o)}),
    (
        "without its entrypoint",
        lambda o: {"entrypoint": o["command"][:1], "command": o["command"][1:]},
    ),
)
"""Tried one at a time, in this order, only where the options of a case failed."""


@dataclass(frozen=True)
class Attempted:
    """One form of the start, in words, and what worked."""

    how: str
    lines: list[Line]

    @property
    def works(self) -> bool:
        return works(self.lines)


@dataclass(frozen=True)
class Checked:
    """`strict` is the start as a case has it, `relaxed` the first relaxation that helped.

    `relaxed` is None where none was needed, or none helped.
    """

    reference: str
    strict: Attempted
    relaxed: Attempted | None = None


def check(runtime: DockerRuntime, reference: str, device: Device, on_progress: Say) -> Checked:
    """Try `reference`, a name of the catalog or any reference; one that is missing is fetched.

    Raises NoImageError, NoEngineError, and NoGpuSupportError where the engine cannot give `device`.
    """
    image, entry = _find(runtime.engine, reference, on_progress)
    config = (inspect(runtime.engine, image) or {}).get("Config") or {}
    entrypoint = list(config.get("Entrypoint") or ())
    wanted = entry.framework if entry else None
    with (
        tempfile.TemporaryDirectory(prefix="harness-check-") as name,
        held(Path(name), f"another check is at work in {name}"),
    ):
        folder = Path(name).resolve()
        _settle_limits(runtime, image, device, folder)

        def attempt(how: str, *relax: Relax) -> Attempted:
            on_progress(f"starting {reference} {how}")
            trial = run(runtime, image, device, folder, *relax)
            return Attempted(how, lines(trial, entrypoint, str(device.kind), wanted))

        strict = attempt("as a case is started")
        if strict.works:
            return Checked(reference, strict)
        tried = (attempt(how, relax) for how, relax in RELAXATIONS)
        return Checked(reference, strict, next((one for one in tried if one.works), None))


def _find(engine: Engine, reference: str, on_progress: Say) -> tuple[str, ImageEntry | None]:
    """What the engine starts, and the catalog's entry where it has one of that name."""
    entry = images().get(reference)
    if entry is not None:
        return ensure(engine, reference, entry, on_progress).id, entry
    if inspect(engine, reference) is None:
        pull(engine, reference, on_progress)
    found = inspect(engine, reference)
    if found is None:
        raise NoImageError(f"{reference} is still not here after it was pulled")
    return str(found["Id"]), None


def _settle_limits(runtime: DockerRuntime, image: str, device: Device, folder: Path) -> None:
    """Leave out the limits that this engine may not raise, as a run does before its first case.

    What else it refuses belongs to the image, and the trial tells it.
    """
    try:
        runtime.rehearse(probe_spec(image, device, out_folder(folder)))
    except NoGpuSupportError:
        raise
    except MachineError:
        return
