"""The kinds of value in a matrix file: how each is checked, and what an editor is told of it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

from harness.catalog import datasets, images, models, protocols
from harness.catalog.toml import shipped
from harness.matrix.kinds import Known, OneOrMore
from harness.model import Status
from harness.units import parse_duration, parse_size
from harness.workload import contract

LEAST_MEMORY = 64 << 20
"""Bytes below which no container starts a Python process that loads a framework."""

MOST_RETRIES = 10

EXPECTED = tuple(
    status.value for status in Status if status not in (Status.INTERRUPTED, Status.SKIPPED)
)
"""What a case may be meant to end with; nobody plans to stop it, or to leave it out."""

SAME_WORK_ENV = (
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
    "PYTORCH_CUDA_ALLOC_CONF",
    "XLA_PYTHON_CLIENT_ALLOCATOR",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
)
"""Variables that say how the work is done: a case that sets them does its protocol's work."""

ALLOWED_ENV = (*SAME_WORK_ENV, "TF_XLA_FLAGS", "XLA_FLAGS")
"""Variables that a case may set: none of them hides messages or moves files."""

_GPU = r"auto|cpu|\d{1,3}|GPU-[0-9A-Fa-f-]+|salted-[0-9a-f]{16}"
_TAG = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"
_DURATION = r"^\s*\d{1,9}(\.\d{1,6})?\s*[smhdSMHD]?\s*$"
_SIZE = r"^\s*\d{1,15}(\.\d{1,6})?\s*[kmgtKMGT]?([iI]?[bB])?\s*$"


def gpu_request(value: Any) -> Any:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and re.fullmatch(_GPU, text):
        return text
    if isinstance(text, str) and text.startswith("MIG"):
        raise ValueError("parts of a GPU (MIG) cannot be chosen; name the whole GPU")
    raise ValueError(f"{value!r} is no GPU; write auto, cpu, an index such as 0, or a UUID")


def _text(value: Any) -> Any:
    """YAML's numbers and booleans as the words that they were written as."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


def _plain_value(value: str) -> str:
    if "/" in value or not value.isprintable():
        raise ValueError(f"{value!r} holds a path or an unprintable character")
    return value


def _tag(word: str) -> str:
    if re.fullmatch(_TAG, word):
        return word
    raise ValueError(
        f"{word!r} is no tag; a tag is one short word of letters, digits, '.', '_' and '-'"
    )


_GPU_JSON = {
    "anyOf": [
        {"type": "string", "enum": ["auto", "cpu"]},
        {"type": "string", "pattern": f"^({_GPU})$"},
        {"type": "integer", "minimum": 0, "maximum": 999},
    ]
}
_DURATION_JSON = {
    "type": ["string", "number"],
    "pattern": _DURATION,
    "exclusiveMinimum": 0,
    "maximum": 999_999_999,
    "examples": ["90s", "30m", "2h", "1d"],
}
_SIZE_JSON = {
    "type": ["string", "integer"],
    "pattern": _SIZE,
    "minimum": LEAST_MEMORY,
    "examples": ["512m", "6g"],
}
_ENV_JSON = {
    "type": "object",
    "properties": {name: {"type": ["string", "number", "boolean"]} for name in ALLOWED_ENV},
    "additionalProperties": False,
}

# The descriptions stand here, once, for `axes`, `defaults`, `include` and `exclude` alike.
ModelName = Annotated[StrictStr, Known("model", models), Field(description="What is trained.")]
DatasetName = Annotated[
    StrictStr,
    Known("dataset", datasets),
    Field(description="Its images. `synthetic` is made on the spot; the others are files."),
]
FrameworkName = Annotated[
    StrictStr,
    Known("framework", lambda: contract.FRAMEWORKS),
    Field(description="The Keras backend. Default: tensorflow."),
]
ImageName = Annotated[
    StrictStr,
    Known("image", images, told=lambda: shipped("images.toml")["images"]),
    Field(
        description="The container image, by its name in `harness images list`. "
        "Default: the framework's for the device."
    ),
]
BatchSize = Annotated[
    StrictInt,
    Field(gt=0, le=1_000_000, description="Images a training step. Default: the protocol's."),
]
Precision = Annotated[
    StrictStr,
    Known("precision", lambda: contract.PRECISIONS),
    Field(description="Number format; `float32` has TF32 off. Default: the protocol's."),
]
Jit = Annotated[
    StrictBool, Field(description="Whether XLA compiles the step. Default: the protocol's.")
]
Deterministic = Annotated[
    StrictBool,
    Field(
        description="Whether the framework may only use operations that give the same result each "
        "time; slower, and refused where it lacks one. Default: false."
    ),
]
Weights = Annotated[
    StrictStr,
    Known("weights", lambda: contract.WEIGHTS),
    Field(description="What training starts from. Default: random."),
]
ProtocolName = Annotated[
    StrictStr,
    Known("protocol", protocols),
    Field(description="The training recipe: epochs, batch, checkpoints. Default: reference."),
]
Measure = Annotated[
    StrictStr,
    Known("measure", lambda: contract.MEASURES),
    Field(
        description="`full` runs the whole protocol; `quick` measures a part and predicts the "
        "rest, with an interval. Default: full."
    ),
]
Gpu = Annotated[
    str,
    BeforeValidator(gpu_request),
    WithJsonSchema(_GPU_JSON),
    Field(description="`auto`, `cpu`, an index, or a UUID. Default: the command line's."),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(ge=LEAST_MEMORY, lt=2**62),
    WithJsonSchema(_SIZE_JSON),
]
Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_JSON)]
Retries = Annotated[StrictInt, Field(ge=0, le=MOST_RETRIES)]
StatusName = Annotated[Status, Known("status", lambda: EXPECTED)]
Expected = Annotated[tuple[StatusName, ...], OneOrMore()]
EnvName = Annotated[StrictStr, Known("variable", lambda: ALLOWED_ENV)]
EnvValue = Annotated[
    StrictStr, BeforeValidator(_text), Field(max_length=1000), AfterValidator(_plain_value)
]
Env = Annotated[dict[EnvName, EnvValue], WithJsonSchema(_ENV_JSON)]
Tag = Annotated[
    StrictStr,
    AfterValidator(_tag),
    WithJsonSchema({"type": "string", "pattern": f"^{_TAG}$"}),
]
Tags = Annotated[tuple[Tag, ...], Field(max_length=20), OneOrMore()]
