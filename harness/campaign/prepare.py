"""Everything that can fail before the first case, done before the first case."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.analysis.cost import Price
from harness.catalog.images import own_catalog
from harness.executors import Elsewhere, Executor, Inline
from harness.host.allowed import allowed
from harness.host.discreet import discreet_cases, discreet_text
from harness.host.fingerprint import Fingerprint
from harness.host.gpus import Gpus, choose, find_gpus
from harness.matrix import Matrix, Selection, expand, select
from harness.model import Case, Device, PlannedCase
from harness.plan import Means, plan_elsewhere, resolve, share_out
from harness.plan.machine import engine_of, this_machine
from harness.preflight import check_results_folder, space_needed


@dataclass(frozen=True)
class Request:
    """What the command line says of this machine."""

    gpus: tuple[str, ...] = ("auto",)
    runtime: str = "auto"
    python: str | None = None
    data_dir: Path | None = None
    results: Path = Path("results")
    machine: str | None = None
    budget_s: float | None = None
    offline: bool = False
    selection: Selection = field(default_factory=Selection)
    parallel: bool = False
    price: Price | None = None

    def means(self, matrix: Matrix) -> Means:
        """What of it, and of the matrix, says how cases are measured on a machine."""
        return Means(
            runtime=self.runtime,
            results=self.results,
            python=self.python,
            data_dir=self.data_dir,
            offline=self.offline,
            fallback=matrix.dataset_fallback,
            budget_s=matrix.budget if self.budget_s is None else self.budget_s,
            images=own_catalog(),
        )


@dataclass(frozen=True)
class Placed:
    """Where a run's attempts are measured, and why there and so, as run.json tells it.

    `interpreter` describes the Python that runs the cases where no image does; `left_out` is what
    of a container's isolation and limits the machine does not grant. `elsewhere`: this machine
    measures nothing.
    """

    executor: Executor
    reason: str
    interpreter: str | None = None
    left_out: tuple[str, ...] = ()
    elsewhere: bool = False


@dataclass(frozen=True)
class Prepared:
    """A run that can start. `text` is the matrix as it was written.

    `since` is when getting ready began, on the monotonic clock.
    """

    matrix: Matrix
    text: str
    cases: tuple[Case, ...]
    planned: tuple[PlannedCase, ...]
    placed: Placed
    fingerprint: Fingerprint
    machine: str
    machine_hash: str
    results: Path
    price: Price | None = None
    since: float | None = None


def prepare(matrix: Matrix, text: str, request: Request, note: Callable[[str], None]) -> Prepared:
    """Resolve and check everything. Raises HarnessError; starts nothing and writes no result.

    `note` is told what takes long, such as an image that is built, and what was decided.
    """
    since = time.monotonic()
    asked = request.selection.of(expand(matrix, request.gpus))
    gpus = find_gpus()
    usable = allowed(gpus, os.environ)
    cases = discreet_cases(asked, gpus)
    devices = {wish: choose(wish, usable) for wish in dict.fromkeys(case.gpu for case in cases)}
    if request.gpus != ("auto",) and not {case.gpu for case in asked} <= set(request.gpus):
        note("the matrix names its GPUs itself: --gpu is not used for those cases")
    for wish, device in devices.items():
        note(f"measuring {device.name or 'the processor'}" + _why(wish, device, usable))
    cases, left_out = select(cases, matrix, devices)
    _tell_left_out(left_out, note)
    planned, chosen = resolve(cases, devices, request.means(matrix), gpus.driver, note)
    note(f"runtime {chosen.runtime.name}: {chosen.reason}")
    if request.parallel:
        planned = share_out(planned, usable)
    machine = this_machine(gpus, request.results, engine_of(chosen.runtime), request.machine)
    return Prepared(
        matrix=matrix,
        text=discreet_text(text, gpus),
        cases=tuple(cases),
        planned=tuple(planned),
        placed=Placed(Inline(chosen.runtime), chosen.reason, chosen.interpreter, chosen.left_out),
        fingerprint=machine.fingerprint,
        machine=machine.label,
        machine_hash=machine.known_by,
        results=request.results,
        price=request.price,
        since=since,
    )


def prepare_elsewhere(
    matrix: Matrix,
    text: str,
    request: Request,
    executor: Elsewhere,
    note: Callable[[str], None],
) -> Prepared:
    """As `prepare`, for cases that other machines measure: what those lack is found there.

    Raises HarnessError.
    """
    since = time.monotonic()
    asked = request.selection.of(expand(matrix, request.gpus))
    devices = {wish: executor.device(wish) for wish in dict.fromkeys(case.gpu for case in asked)}
    cases, left_out = select(asked, matrix, devices)
    _tell_left_out(left_out, note)
    note(f"executor {executor.name}: {executor.reason}")
    check_results_folder(request.results, space_needed(cases))
    gpus = find_gpus()
    machine = this_machine(gpus, request.results, None, request.machine)
    planned = plan_elsewhere(cases, devices, request.means(matrix))
    return Prepared(
        matrix=matrix,
        text=text,
        cases=tuple(cases),
        planned=tuple(planned),
        placed=Placed(executor, executor.reason, elsewhere=True),
        fingerprint=machine.fingerprint,
        machine=machine.label,
        machine_hash=machine.known_by,
        results=request.results,
        price=request.price,
        since=since,
    )


def _tell_left_out(cases: Sequence[Case], note: Callable[[str], None]) -> None:
    if cases:
        names = ", ".join(case.id for case in cases)
        note(f"left out, for a GPU only (gpu_only in the matrix): {names}")


def _why(wish: str, device: Device, gpus: Gpus) -> str:
    if wish == "auto" and device.kind == "cpu":
        return f": no GPU ({gpus.problem or 'NVML sees none'})"
    return f" ({gpus.problem})" if gpus.problem and device.kind == "gpu" else ""
