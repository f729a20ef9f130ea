"""Every combination of the axes as a case, with what its protocol leaves unsaid filled in."""

from __future__ import annotations

import itertools
from typing import Any

from harness.catalog import protocols
from harness.errors import InputError
from harness.matrix.schema import Matrix
from harness.model import Case, Limits

MAX_CASES = 100_000


def expand(matrix: Matrix, gpu: tuple[str, ...] = ("auto",)) -> list[Case]:
    """The cases of `matrix` in the order it is written.

    `gpu` is what the command line asked for; an axis or default of the file stands above it.
    Raises InputError where a case has no model or dataset, or two cases are the same.
    """
    axes = {name: values for name, values in matrix.axes if values is not None}
    if "gpu" not in axes and matrix.defaults.gpu is None:
        axes["gpu"] = gpu
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MAX_CASES:
        raise InputError(f"the matrix has {count} cases; at most {MAX_CASES} are taken")
    defaults = {name: value for name, value in matrix.defaults if value is not None}
    cases = [
        _case({**defaults, **dict(zip(axes, combination, strict=True))}, matrix)
        for combination in itertools.product(*axes.values())
    ]
    _refuse_doubles(cases)
    _refuse_strangers(cases, matrix)
    return cases


def _case(choice: dict[str, Any], matrix: Matrix) -> Case:
    for needed in ("model", "dataset"):
        if needed not in choice:
            raise InputError(
                f"the matrix names no {needed}", f"add {needed}: [...] under axes, or a default"
            )
    protocol_name = choice.get("protocol", "reference")
    protocol = protocols()[protocol_name]
    planned = {
        "batch_size": protocol.batch_size[choice["model"]],
        "precision": protocol.precision,
        "jit": protocol.jit,
    }
    overrides: dict[str, Any] = {
        name: choice[name] for name, value in planned.items() if choice.get(name, value) != value
    }
    if matrix.env:
        overrides["env"] = dict(sorted(matrix.env.items()))
    if matrix.memory_limit is not None:
        overrides["memory_limit"] = matrix.memory_limit
    return Case(
        model=choice["model"],
        dataset=choice["dataset"],
        framework=choice.get("framework", "tensorflow"),
        image=choice.get("image"),
        batch_size=choice.get("batch_size", planned["batch_size"]),
        precision=choice.get("precision", planned["precision"]),
        jit=choice.get("jit", planned["jit"]),
        weights=choice.get("weights", "random"),
        protocol=protocol_name,
        measure=choice.get("measure", "full"),
        overrides=overrides,
        gpu=choice["gpu"],
        limits=Limits(timeout_s=matrix.timeout),
    )


def _refuse_strangers(cases: list[Case], matrix: Matrix) -> None:
    """A `gpu_only` value that no case has would silently do nothing."""
    for name, values in matrix.gpu_only:
        there = {getattr(case, name) for case in cases}
        for value in values or ():
            if value not in there:
                raise InputError(
                    f"gpu_only names {name} {value}, which no case of the matrix has",
                    f"add it to axes: {name}, or take it out of gpu_only",
                )


def _refuse_doubles(cases: list[Case]) -> None:
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise InputError(
                f"two cases of the matrix are the same: {case.id}",
                "remove the value that stands twice in an axis",
            )
        seen.add(case.id)
