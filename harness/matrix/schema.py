"""What a matrix file may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, StrictInt, StrictStr, field_validator

from harness.matrix.document import Place
from harness.matrix.fields import (
    MOST_RETRIES,
    BatchSize,
    DatasetName,
    Deterministic,
    Duration,
    Env,
    Expected,
    FrameworkName,
    Gpu,
    ImageName,
    Jit,
    Measure,
    ModelName,
    Precision,
    ProtocolName,
    Retries,
    Size,
    Tags,
    Weights,
)
from harness.matrix.kinds import AxisList, Known
from harness.matrix.order import ORDERS
from harness.model import Frozen

MOST_REPEATS = 1000


class Said(Frozen):
    """A mapping in which a key that is written has a value."""

    @field_validator("*", mode="before")
    @classmethod
    def _has_a_value(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("has no value; write one, or leave the key out")
        return value


class Choice(Said):
    """One value for some of the axes; what is left out falls to the protocol or the machine."""

    model: ModelName | None = None
    dataset: DatasetName | None = None
    framework: FrameworkName | None = None
    image: ImageName | None = None
    batch_size: BatchSize | None = None
    precision: Precision | None = None
    jit: Jit | None = None
    deterministic: Deterministic | None = None
    weights: Weights | None = None
    protocol: ProtocolName | None = None
    measure: Measure | None = None
    gpu: Gpu | None = None

    def chosen(self) -> dict[str, Any]:
        """The axes that are given a value, in the order of the axes."""
        return {name: getattr(self, name) for name in AXES if getattr(self, name) is not None}


AXES = tuple(Choice.model_fields)
"""The names of the axes; an earlier one varies more slowly in an expanded matrix."""


class _Entry(Choice):
    """One value for some of the axes."""

    @field_validator(*AXES, mode="before")
    @classmethod
    def _one_value(cls, value: Any) -> Any:
        if isinstance(value, list):
            raise ValueError("one value here, not a list; write an entry for each")
        return value


class Exclude(_Entry):
    """The cases that have all of these values are taken out; nothing brings them back."""


class Settings(Said):
    """How a case is run, which makes it no other benchmark; but `env` and `memory_limit` do."""

    timeout: Duration | None = Field(
        None, description="How long an attempt may take; over it, the case is `timeout`."
    )
    stall_timeout: Duration | None = Field(
        None, description="How long a case may show no sign of life; over it, it is `stalled`."
    )
    retries: Retries | None = Field(
        None,
        description="How often an attempt is made again that failed for no fault of the case "
        f"(`infra`), 0 to {MOST_RETRIES}. Default: 2.",
    )
    expect: Expected | None = Field(
        None,
        description="The status, or statuses, that a case should end with, such as `oom`; "
        "completing it is a failure then. Default: it is to complete (`ok` or `pressure`).",
    )
    env: Env = Field(
        default_factory=dict,
        description="Environment variables of the workload, of those that are allowed.",
    )
    memory_limit: Size | None = Field(
        None, description="The container's memory, such as `6g`. Default: no limit."
    )
    tags: Tags = Field((), description="Short words to choose cases by: `--only tag=nightly`.")


class Include(_Entry, Settings):
    """More for some cases, or one more case.

    Those of its keys that are axes of this matrix must match; the others are added to every
    combination that does. Where none does, the entry is a case of its own, with the defaults.
    """


class Axes(Said):
    """Lists of values; every combination is a case."""

    model: Annotated[tuple[ModelName, ...], AxisList()] | None = None
    dataset: Annotated[tuple[DatasetName, ...], AxisList()] | None = None
    framework: Annotated[tuple[FrameworkName, ...], AxisList()] | None = None
    image: Annotated[tuple[ImageName, ...], AxisList()] | None = None
    batch_size: Annotated[tuple[BatchSize, ...], AxisList()] | None = None
    precision: Annotated[tuple[Precision, ...], AxisList()] | None = None
    jit: Annotated[tuple[Jit, ...], AxisList()] | None = None
    deterministic: Annotated[tuple[Deterministic, ...], AxisList()] | None = None
    weights: Annotated[tuple[Weights, ...], AxisList()] | None = None
    protocol: Annotated[tuple[ProtocolName, ...], AxisList()] | None = None
    measure: Annotated[tuple[Measure, ...], AxisList()] | None = None
    gpu: Annotated[tuple[Gpu, ...], AxisList()] | None = None


class Matrix(Settings):
    """A matrix file: which cases there are, and how they are measured."""

    axes: Axes = Field(Axes(), description="Lists of values; every combination is a case.")
    defaults: Choice = Field(Choice(), description="Values for axes that are not listed.")
    include: tuple[Include, ...] = Field(
        (), description="More keys for the combinations that match an entry, or cases beside them."
    )
    exclude: tuple[Exclude, ...] = Field(
        (), description="Cases that have all values of an entry are taken out, after `include`."
    )
    gpu_only: Axes = Field(
        Axes(),
        description="A case with one of the values of every axis here is left out where it would "
        "be measured on the processor.",
    )
    repeats: Annotated[StrictInt, Field(ge=1, le=MOST_REPEATS)] = Field(
        1, description="How often each case is measured."
    )
    order: Annotated[StrictStr, Known("order", lambda: ORDERS)] = Field(
        "interleaved",
        description="`interleaved` measures every case once, then every case again, so that the "
        "repeats of a case are spread over time; `written` measures all repeats of a case, then "
        "the next; `shuffled` is a random order.",
    )
    seed: StrictInt | None = Field(
        None,
        ge=0,
        lt=2**53,  # exact in every reader of JSON
        description="Of the shuffled order. Default: a new one, which is recorded.",
    )
    budget: Duration | None = Field(
        None, description="What `measure: quick` may spend on a case's training steps."
    )
    dataset_fallback: Annotated[StrictStr, Known("fallback", lambda: ("synthetic",))] | None = (
        Field(None, description="`synthetic`: measure on it where a dataset is missing.")
    )

    _places: dict[Place, str] = PrivateAttr(default_factory=dict)

    def remember(self, places: Mapping[Place, str]) -> Matrix:
        """The same matrix, which can tell where in its file these places are."""
        self._places.update(places)
        return self

    def where(self, *place: str | int) -> str:
        """``file:line:column: `` of a place, or of the nearest one around it that is remembered.

        Nothing where the matrix came from no file.
        """
        while place and place not in self._places:
            place = place[:-1]
        found = self._places.get(place)
        return f"{found}: " if found else ""
