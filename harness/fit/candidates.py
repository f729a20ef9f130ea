"""The case that is asked about, at any batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from harness.fit.room import Room
from harness.matrix import Matrix, expand, parse
from harness.model import PlannedCase
from harness.plan.cases import planned_like
from harness.workload import contract

NAME = "the options"


@dataclass(frozen=True)
class Candidates:
    """`content` is a matrix of one case, `room` the memory that it gets."""

    content: Mapping[str, Any]
    room: Room

    def matrix(self, batch: int | None = None) -> tuple[Matrix, str]:
        """The matrix and its text, with the protocol's batch where none is given."""
        defaults = dict(self.content["defaults"])
        if batch is not None:
            defaults["batch_size"] = batch
        held = {"env": dict(self.room.env), "memory_limit": self.room.memory_limit}
        content = {**self.content, "defaults": defaults, **{k: v for k, v in held.items() if v}}
        text = yaml.safe_dump(content, sort_keys=False)
        return parse(text, NAME), text

    def at(self, planned: PlannedCase, batch: int) -> PlannedCase:
        """The planned case of the matrix, as a probe of `batch`."""
        case = expand(self.matrix(batch)[0], (planned.case.gpu,))[0]
        overrides = dict(case.overrides)
        if self.room.device_memory is not None:
            overrides["device_memory"] = self.room.device_memory
        probe = case.model_copy(update={"measure": contract.FIT, "overrides": overrides})
        return planned_like(planned, probe)
