"""This machine as a run records it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.host import fingerprint
from harness.host.gpus import Gpus
from harness.runtimes.base import Runtime
from harness.runtimes.docker import DockerRuntime


@dataclass(frozen=True)
class Machine:
    """What run.json holds of a machine; `known_by` is the salted hash it is recognised by."""

    label: str
    known_by: str
    fingerprint: fingerprint.Fingerprint


def this_machine(gpus: Gpus, results: Path, engine: str | None, name: str | None = None) -> Machine:
    """Look at this machine and try its storage and a core, in about a second.

    `name` is the label that the user gave it.
    """
    seen = fingerprint.take(gpus, results)
    return Machine(
        label=name or fingerprint.label(seen, gpus),
        known_by=fingerprint.machine_hash(seen, gpus),
        fingerprint=fingerprint.tried(seen, results, engine),
    )


def engine_of(runtime: Runtime) -> str | None:
    """The engine behind a runtime and its version; None where it has none that tells."""
    if isinstance(runtime, DockerRuntime):
        return f"{runtime.engine.kind} {runtime.engine.version}"
    return None
