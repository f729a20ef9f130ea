"""What a matrix file may say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, StrictStr

from harness.catalog import datasets, images, models, protocols
from harness.matrix.names import known_name
from harness.matrix.order import ORDERS
from harness.model import Frozen
from harness.units import parse_duration, parse_size
from harness.workload import contract

LEAST_MEMORY = 64 << 20
"""Bytes below which no container starts a Python process that loads a framework."""

ALLOWED_ENV = (
    "OMP_NUM_THREADS",
    "TF_CPU_ALLOCATOR_USE_BFC",
    "TF_CPU_BFC_MEM_LIMIT_IN_MB",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_GPU_ALLOCATOR",
    "TF_GPU_THREAD_COUNT",
    "TF_GPU_THREAD_MODE",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)
"""Variables that a case may set: none of them hides messages or moves files."""


def _known(kind: str, names: Callable[[], Iterable[str]]) -> AfterValidator:
    return AfterValidator(lambda word: known_name(kind, word, names()))


def gpu_request(value: Any) -> Any:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and re.fullmatch(r"auto|cpu|\d{1,3}|GPU-[0-9A-Fa-f-]+", text):
        return text
    if isinstance(text, str) and text.startswith("MIG"):
        raise ValueError("parts of a GPU (MIG) cannot be chosen; name the whole GPU")
    raise ValueError(f"{value!r} is no GPU; write auto, cpu, an index such as 0, or a UUID")


def _framework_name(word: str) -> str:
    return known_name("framework", word, contract.FRAMEWORKS)


ModelName = Annotated[StrictStr, _known("model", models)]
DatasetName = Annotated[StrictStr, _known("dataset", datasets)]
ProtocolName = Annotated[StrictStr, _known("protocol", protocols)]
ImageName = Annotated[StrictStr, _known("image", images)]
FrameworkName = Annotated[StrictStr, AfterValidator(_framework_name)]
Precision = Annotated[StrictStr, _known("precision", lambda: contract.PRECISIONS)]
Weights = Annotated[StrictStr, _known("weights", lambda: contract.WEIGHTS)]
Measure = Annotated[StrictStr, _known("measure", lambda: contract.MEASURES)]
BatchSize = Annotated[StrictInt, Field(gt=0, le=1_000_000)]
Gpu = Annotated[str, BeforeValidator(gpu_request)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=LEAST_MEMORY, lt=2**62)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
EnvName = Annotated[StrictStr, _known("variable", lambda: ALLOWED_ENV)]


def _text(value: Any) -> Any:
    """YAML's numbers and booleans as the words that they were written as."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


def _plain_value(value: str) -> str:
    if "/" in value or not value.isprintable():
        raise ValueError(f"{value!r} holds a path or an unprintable character")
    return value


EnvValue = Annotated[
    StrictStr, BeforeValidator(_text), Field(max_length=1000), AfterValidator(_plain_value)
]


class Choice(Frozen):
    """One value for some of the axes; None leaves it to the protocol or the machine."""

    model: ModelName | None = None
    dataset: DatasetName | None = None
    framework: FrameworkName | None = None
    image: ImageName | None = None
    batch_size: BatchSize | None = None
    precision: Precision | None = None
    jit: StrictBool | None = None
    weights: Weights | None = None
    protocol: ProtocolName | None = None
    measure: Measure | None = None
    gpu: Gpu | None = None


def _axis(value: Any) -> Any:
    if isinstance(value, list) and value:
        return value
    raise ValueError("an axis is a list of at least one value, such as [a, b]")


type_of_axis = BeforeValidator(_axis)


class Axes(Frozen):
    """Lists of values; every combination is a case."""

    model: Annotated[tuple[ModelName, ...], type_of_axis] | None = None
    dataset: Annotated[tuple[DatasetName, ...], type_of_axis] | None = None
    framework: Annotated[tuple[FrameworkName, ...], type_of_axis] | None = None
    image: Annotated[tuple[ImageName, ...], type_of_axis] | None = None
    batch_size: Annotated[tuple[BatchSize, ...], type_of_axis] | None = None
    precision: Annotated[tuple[Precision, ...], type_of_axis] | None = None
    jit: Annotated[tuple[StrictBool, ...], type_of_axis] | None = None
    weights: Annotated[tuple[Weights, ...], type_of_axis] | None = None
    protocol: Annotated[tuple[ProtocolName, ...], type_of_axis] | None = None
    measure: Annotated[tuple[Measure, ...], type_of_axis] | None = None
    gpu: Annotated[tuple[Gpu, ...], type_of_axis] | None = None


class Matrix(Frozen):
    """A whole matrix file.

    A case with one of the values of every axis under `gpu_only` is left out where it would be
    measured on the processor. `budget` is what ``quick`` may spend on a case's training steps.
    """

    axes: Axes = Axes()
    defaults: Choice = Choice()
    gpu_only: Axes = Axes()
    repeats: Annotated[StrictInt, Field(ge=1, le=1000)] = 1
    dataset_fallback: Annotated[StrictStr, _known("fallback", lambda: ("synthetic",))] | None = None
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
    memory_limit: Size | None = None
    order: Annotated[StrictStr, _known("order", lambda: ORDERS)] = "interleaved"
    seed: StrictInt | None = None
    timeout: Duration | None = None
    budget: Duration | None = None
