"""Start what does nothing as a case would be started: refusals are found before the first case."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Protocol

from harness.errors import MachineError
from harness.model import Device, LaunchSpec
from harness.results.files import held
from harness.results.run import is_alive
from harness.runtimes.containers import find, remove
from harness.runtimes.engine import Engine
from harness.workload import contract

RUN = "rehearsal"
_FOLDER = ".rehearsal-"


class Rehearsing(Protocol):
    """A runtime that can start a case's container with a command that does nothing."""

    def rehearse(self, spec: LaunchSpec) -> list[str]:
        """What had to be left out. Raises MachineError where it is refused."""


def rehearse(
    runtime: Rehearsing, image: str, device: Device, scratch: Path, memory_limit: int | None = None
) -> list[str]:
    """Start a container that does nothing, as a case's would start; returns what was left out.

    Its folder, in `scratch`, is held as long as that takes: so a rehearsal whose harness was
    killed is known from one at work. `memory_limit` is in bytes. Raises MachineError where it is
    refused, and OSError where `scratch` cannot be written.
    """
    with (
        tempfile.TemporaryDirectory(prefix=_FOLDER, dir=scratch) as folder,
        held(Path(folder), f"another harness is at work on {folder}"),
    ):
        return runtime.rehearse(
            LaunchSpec(
                workload=Path(contract.__file__).resolve().parent,
                out=Path(folder),
                data=None,
                weights=None,
                device=device,
                image=image,
                env={},
                memory_limit=memory_limit,
                labels={"harness.run": RUN, "harness.folder": folder},
            )
        )


def remove_dead(engine: Engine) -> None:
    """Remove the containers and folders of rehearsals whose harness was killed.

    Known to be dead are those whose folder stands here and is held by nobody; one without a
    folder here may be another machine's at work, and is left to ``harness clean``. A label is
    anybody's to write: only an empty folder of a rehearsal's name goes. What the engine refuses is
    left too: the rehearsal that follows tells it.
    """
    with contextlib.suppress(MachineError):
        for container in find(engine, f"harness.run={RUN}", "harness.folder"):
            folder = Path(container.labels["harness.folder"])
            if folder.name.startswith(_FOLDER) and folder.is_dir() and not is_alive(folder):
                remove([container])
                with contextlib.suppress(OSError):
                    folder.rmdir()
