"""A case as it was asked for, how it may end, and what it is planned to run on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.model.base import Frozen


class Status(str, Enum):
    """How an attempt ended."""

    OK = "ok"
    PRESSURE = "pressure"
    OOM = "oom"
    OOM_HOST = "oom_host"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    FAILED = "failed"
    INFRA = "infra"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"

    @property
    def completed(self) -> bool:
        """Whether the benchmark ran to its end, so that its figures stand."""
        return self in (Status.OK, Status.PRESSURE)


class Limits(Frozen):
    """How long a case may take, be silent, and how often an infrastructure fault is retried."""

    timeout_s: float | None = None
    stall_timeout_s: float | None = None
    retries: int = 2


class Case(Frozen):
    """One cell of the expanded matrix, as it was asked for.

    `expect` are the statuses it should end with, where it is not to complete; neither they nor
    `limits` and `tags` make it another benchmark.
    """

    model: str
    dataset: str
    framework: str
    image: str | None
    batch_size: int
    precision: str
    jit: bool
    deterministic: bool = False
    weights: str
    protocol: str
    measure: str
    overrides: dict[str, Any]
    gpu: str
    limits: Limits = Limits()
    expect: tuple[Status, ...] = ()
    tags: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """A readable name, unique in its matrix and the same on every machine."""
        parts = [self.model, self.dataset, self.framework, self.protocol]
        parts += [f"b{self.batch_size}", self.precision, self.measure]
        if self.jit:
            parts.append("jit")
        if self.deterministic:
            parts.append("deterministic")
        if self.weights != "random":
            parts.append(self.weights)
        if self.image is not None:
            parts.append(self.image)
        if self.gpu == "cpu":
            parts.append("cpu")
        elif self.gpu != "auto":
            parts.append("gpu" + self.gpu.lower().removeprefix("gpu-").removeprefix("salted-")[:8])
        environment = {k: v for k, v in self.overrides.items() if k in _ENVIRONMENT}
        if environment:
            parts.append("x" + _short_hash(environment))
        return "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", part) for part in parts)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Case:
        """A copy, which has an id of its own."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("id", None)
        return copy


_ENVIRONMENT = ("env", "memory_limit", "device_memory")
"""Overrides that an id holds as a hash; the others stand in it by name."""


def as_expected(case: Case, status: Status) -> bool:
    """Whether a case that ended with `status` did what the matrix says it should."""
    return status in case.expect if case.expect else status.completed


def _short_hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:6]


class Device(Frozen):
    """Where a case computes: ``gpu`` or ``cpu``.

    `uuid` is the GPU's own, in the spelling of its vendor (``nvidia`` or ``amd``); in a record, a
    salted name that stands for it.
    """

    kind: str | None
    name: str | None = None
    uuid: str | None = None
    vendor: str | None = None


class ImageIdentity(Frozen):
    """The image a case ran in; all None where it ran in none.

    `pinned`: whether the catalog knows it (or the base it was built on) by digest; None in old
    records too.
    """

    reference: str | None = None
    digest: str | None = None
    pinned: bool | None = None


class DatasetIdentity(Frozen):
    """The data a case read; `sha256` is over the files' checksums and the slices taken."""

    name: str
    synthetic: bool
    sha256: str


@dataclass(frozen=True)
class PlannedCase:
    """A case with every name resolved: nothing is left to decide at launch.

    `pool` are devices that would do as well as `device`, where several are used at once.
    `stand_in_key` is its key on a machine where generated data has to stand in for its dataset.
    """

    case: Case
    key: str
    ingredients: Mapping[str, Any]
    spec: Mapping[str, Any]
    device: Device
    image: ImageIdentity
    launch_image: str | None
    dataset: DatasetIdentity
    data_folder: Path | None
    weights_folder: Path | None
    env: Mapping[str, str] = field(default_factory=dict)
    memory_limit: int | None = None
    same_as: str | None = None
    pool: tuple[Device, ...] = ()
    stand_in_key: str | None = None

    @property
    def id(self) -> str:
        return self.case.id

    @property
    def keys(self) -> tuple[str, ...]:
        """Those that a record of it may have."""
        return (self.key,) if self.stand_in_key is None else (self.key, self.stand_in_key)


@dataclass(frozen=True)
class LaunchSpec:
    """All that a runtime needs to start one attempt. Folders are the host's."""

    workload: Path
    out: Path
    data: Path | None
    weights: Path | None
    device: Device
    image: str | None
    env: Mapping[str, str]
    memory_limit: int | None
    labels: Mapping[str, str]
