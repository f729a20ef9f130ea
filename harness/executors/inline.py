"""This machine's own devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.events import OnEvent, Stopped
from harness.executors.base import Lane, Task
from harness.model import PlannedCase, Record
from harness.plan.cases import workload_folder
from harness.runner import Place, run_attempt
from harness.runtimes.base import Runtime


@dataclass(frozen=True)
class Inline:
    """Starts attempts with `starter`: one at a time, or one on each GPU."""

    starter: Runtime
    name: str = "inline"

    @property
    def runtime(self) -> str:
        return self.starter.name

    def lanes(self, tasks: Sequence[Task], parallel: bool) -> Sequence[Lane]:
        """The GPUs that the tasks may use, in the order they are named, where they are several."""
        if not parallel:
            return ()
        named = [device for t in tasks for device in (t.case.device, *t.case.pool)]
        gpus = [device for device in dict.fromkeys(named) if device.kind == "gpu"]
        return gpus if len(gpus) > 1 else ()

    def rejoin(self, run: Path) -> None:
        """Nothing: what this machine's harness starts ends with it."""

    def attempt(
        self, case: PlannedCase, place: Place, on_event: OnEvent, stopped: Stopped
    ) -> Record:
        return run_attempt(case, workload_folder(), self.starter, place, on_event, stopped)

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        return self.starter.sweep(labels)
