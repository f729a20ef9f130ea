"""Cases in a Python environment of this machine: no container, no pinned image, and the record
says so."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from harness.model import LaunchSpec
from harness.runtimes import interpreter, processes
from harness.runtimes.command import arguments, environment, visible


class LocalRuntime:
    """A process of an interpreter, in a session of its own."""

    name = "local"

    def __init__(self, python: str = sys.executable) -> None:
        self.python = python

    def start(self, spec: LaunchSpec) -> processes.ProcessAttempt:
        scratch = processes.scratch_folder()
        shown = {**environment(spec.device, str(scratch)), **visible(spec.device)}
        line = arguments(
            self.python,
            str(spec.workload),
            str(spec.out),
            str(spec.data or spec.out),
            str(spec.weights) if spec.weights else None,
        )
        whole = {**interpreter.surroundings(self.python), **shown, **spec.env}
        return processes.start(line, whole, scratch)

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        del labels  # a workload whose harness is gone ends itself
        return []
