"""Which of a matrix's cases this machine measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import MachineError
from harness.matrix.schema import Matrix
from harness.model import Case, Device


def select(
    cases: Sequence[Case], matrix: Matrix, devices: Mapping[str, Device]
) -> tuple[list[Case], list[Case]]:
    """The cases to measure, and those left out: `gpu_only` ones that would get the processor.

    `devices` by what a case asks for. Raises MachineError where nothing is left to measure.
    """
    kept: list[Case] = []
    left_out: list[Case] = []
    for case in cases:
        elsewhere = devices[case.gpu].kind == "cpu" and _gpu_only(case, matrix)
        (left_out if elsewhere else kept).append(case)
    if not kept:
        raise MachineError(
            "every case of the matrix is gpu_only, and no GPU is used",
            "measure on a GPU, or take gpu_only out of the matrix",
        )
    return kept, left_out


def _gpu_only(case: Case, matrix: Matrix) -> bool:
    named = {name: values for name, values in matrix.gpu_only if values is not None}
    return bool(named) and all(getattr(case, name) in values for name, values in named.items())
