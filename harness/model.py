"""The values that travel through the harness. All frozen, none does I/O.

Times are seconds, sizes bytes, rates images per second; what is not known is None.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1


class Frozen(BaseModel):
    """A value: never changed, and no field that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


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


# ------------------------------------------------------------------ the case


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
        if self.weights != "random":
            parts.append(self.weights)
        if self.image is not None:
            parts.append(self.image)
        if self.gpu == "cpu":
            parts.append("cpu")
        elif self.gpu != "auto":
            parts.append("gpu" + self.gpu.upper().removeprefix("GPU-")[:8].lower())
        environment = {k: v for k, v in self.overrides.items() if k in ("env", "memory_limit")}
        if environment:
            parts.append("x" + _short_hash(environment))
        return "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", part) for part in parts)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Case:
        """A copy, which has an id of its own."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("id", None)
        return copy


def as_expected(case: Case, status: Status) -> bool:
    """Whether a case that ended with `status` did what the matrix says it should."""
    return status in case.expect if case.expect else status.completed


def _short_hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:6]


# ------------------------------------------------- what a case is measured on and with


class Device(Frozen):
    """Where a case computes: ``gpu`` or ``cpu``. `uuid` is the GPU's own, in NVML's spelling."""

    kind: str | None
    name: str | None = None
    uuid: str | None = None


class ImageIdentity(Frozen):
    """The image a case ran in; both None where it ran in none."""

    reference: str | None = None
    digest: str | None = None


class DatasetIdentity(Frozen):
    """The data a case read; `sha256` is over the files' checksums and the slices taken."""

    name: str
    synthetic: bool
    sha256: str


@dataclass(frozen=True)
class PlannedCase:
    """A case with every name resolved: nothing is left to decide at launch.

    `pool` are devices that would do as well as `device`, where several are used at once.
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

    @property
    def id(self) -> str:
        return self.case.id


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


class Exit(Frozen):
    """How the process ended; `killed_because` is only ever our own reason."""

    code: int | None
    oom_killed: bool = False
    killed_because: str | None = None


class MemoryKind(str, Enum):
    """What a memory message means by itself; the judge weighs it with how the process ended."""

    RECOVERABLE = "recoverable"
    HARD = "hard"
    HOST = "host"


@dataclass(frozen=True)
class MemoryEvent:
    """One memory message of the log. `requested_bytes` as far as the text is precise.

    `echo`: it says again, in other words, what the message of the allocator itself said.
    """

    kind: MemoryKind
    rule: str
    line: str
    allocator: str | None = None
    requested_bytes: int | None = None
    echo: bool = False


# ------------------------------------------------------------------ the record


class Timing(Frozen):
    """Seconds; docs/protocols.md says what each holds.

    `predicted` names the fields that were not measured whole, `intervals` what is known of their
    error, `weak` those whose interval rests on few blocks. `steady` is False where a GPU's clock
    or temperature was still changing, and None where nobody looked.
    """

    total_execution_s: float | None = None
    train_s: float | None = None
    validation_s: float | None = None
    checkpoint_s: float | None = None
    startup_s: float | None = None
    first_step_s: float | None = None
    total_inference_s: float | None = None
    model_load_s: float | None = None
    predict_s: float | None = None
    images_per_s: float | None = None
    predicted: tuple[str, ...] = ()
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    blocks: dict[str, int] = Field(default_factory=dict)
    steady: bool | None = None
    weak: tuple[str, ...] = ()


class Memory(Frozen):
    """What memory was asked for and used, in bytes."""

    pressure_events: int = 0
    largest_request_bytes: int | None = None
    peak_device_bytes: int | None = None
    peak_host_bytes: int | None = None


class Record(Frozen):
    """The result of one attempt: one line of records.jsonl.

    `same_as` names the case whose measurement it shares, `beside` the cases that were measured on
    other devices of the machine meanwhile. `transient`: an infrastructure fault that may pass.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    case_id: str
    case_key: str
    software_key: str | None
    repeat: int
    attempt: int
    same_as: str | None = None
    beside: tuple[str, ...] = ()
    transient: bool = False
    status: Status
    reason: str
    case: Case
    image: ImageIdentity
    dataset: DatasetIdentity
    device: Device
    timing: Timing
    memory: Memory
    exit: Exit
    runtime: str
    machine: str
    versions: dict[str, Any]
    started_at: str
    finished_at: str

    @property
    def wall_s(self) -> float | None:
        """Seconds that the attempt took in all; None where the record does not say when it was."""
        try:
            began, ended = map(datetime.fromisoformat, (self.started_at, self.finished_at))
            return (ended - began).total_seconds()
        except (ValueError, TypeError):  # no time at all, or one of them without its zone
            return None
