"""A case that options ask for: what `bench` and `fit` share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.matrix import Matrix

NAME = "the options"
"""Stands where a matrix file's name would."""

Model = Annotated[str, typer.Option(help="model-a, model-b or model-b-2021.")]
Dataset = Annotated[str, typer.Option(help="mnist, fashion-mnist, mnist-10k or synthetic.")]
Framework = Annotated[str, typer.Option(help="tensorflow, jax or torch.")]
Protocol = Annotated[str, typer.Option(help="seed, reference or smoke.")]
Precision = Annotated[
    str | None, typer.Option(help="float32, tf32, mixed_float16 or mixed_bfloat16.")
]
Jit = Annotated[
    bool | None, typer.Option("--jit/--no-jit", help="Compile the step; JAX always does.")
]
Image = Annotated[str | None, typer.Option(help="An image, see harness images list.")]
Fallback = Annotated[
    str | None, typer.Option(help="synthetic: take it where the dataset is missing.")
]


def content(
    model: str, dataset: str, fields: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """A matrix of one case. Fields and settings that nobody named are left to the protocol."""
    return {
        "axes": {"model": [model], "dataset": [dataset]},
        "defaults": _named(fields),
        **_named(settings),
    }


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def parsed(one: Mapping[str, Any]) -> tuple[Matrix, str]:
    """The matrix and its text. Raises InputError in the words of the command line."""
    import yaml

    from harness.matrix import parse

    text = yaml.safe_dump(dict(one), sort_keys=False)
    try:
        return parse(text, NAME), text
    except InputError as error:
        raise InputError(_by_option(error.message), error.next_step) from error


def _by_option(message: str) -> str:
    """A matrix's complaint that names the option, not a line of YAML."""
    return re.sub(
        rf"^{NAME}:\d+:\d+: (?:axes\.|defaults\.)?(\w+)",
        lambda found: "--" + found[1].replace("_", "-"),
        message,
        flags=re.MULTILINE,
    )
