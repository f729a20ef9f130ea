"""What was published of other machines: figures to stand beside, not to be identical with."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from pydantic import BeforeValidator

from harness.catalog.toml import shipped
from harness.model import Frozen, Status
from harness.units import parse_size


class Figure(Frozen):
    """One published result, in seconds; what was not published is None.

    `status` and `largest_request` (bytes) tell how it ended where no time was published.
    `loaded_after` names the model that the process had already run before it timed the inference.
    """

    model: str
    dataset: str
    status: Status = Status.OK
    total_execution_s: float | None = None
    total_inference_s: float | None = None
    largest_request: Annotated[int, BeforeValidator(parse_size)] | None = None
    loaded_after: str | None = None


class Baseline(Frozen):
    """A published machine under one protocol.

    `inference` says what its inference time holds; `tf32_likely` marks a GPU that probably
    computed in TF32 where the protocol says float32.
    """

    name: str
    cpu: str
    gpu: str
    protocol: str
    source: str
    software: str
    weights: str
    inference: str
    figures: tuple[Figure, ...]
    ram: str | None = None
    tf32_likely: bool = False

    @property
    def machine(self) -> str:
        """``Setup 1: i7-10750H, RTX 2060``."""
        return f"{self.name}: " + ", ".join(filter(None, (self.cpu, self.gpu, self.ram)))


@cache
def baselines() -> dict[str, Baseline]:
    """Every published machine, in the order of the study's tables."""
    data = shipped("baselines.toml")
    return {
        name: Baseline(**data["study"], **machine) for name, machine in data["machines"].items()
    }
