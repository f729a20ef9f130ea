"""Which tasks begin first where several are measured at once: what takes long comes first."""

from __future__ import annotations

import math
from collections.abc import Iterable

from harness.catalog.models import models
from harness.executors import Task
from harness.model import PlannedCase
from harness.results.history import Expected


def longest_first(tasks: Iterable[Task], before: Expected) -> list[Task]:
    """What nobody has measured yet, most work first; then what took longest `before`."""

    def length(task: Task) -> tuple[float, float]:
        case = task.case
        took = [before[key] for key in ((k, case.case.measure) for k in case.keys) if key in before]
        return max(took, default=math.inf), work(case)

    return sorted(tasks, key=length, reverse=True)


def work(case: PlannedCase) -> float:
    """FLOPs of a full training; a quick measurement takes about as long whatever it measures: 0."""
    if case.case.measure != "full":
        return 0.0
    images = case.spec["protocol"]["epochs"] * case.spec["dataset"]["train"]["count"]
    return float(images * models()[case.case.model].training_flops)
