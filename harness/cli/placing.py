"""``--executor``: where the attempts of a run are placed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.campaign import Request
    from harness.executors import Elsewhere
    from harness.matrix import Matrix
    from harness.plan import Means

Note = Callable[[str], None]


@dataclass(frozen=True)
class Placing:
    """What the command line says of where attempts run."""

    executor: str = "inline"
    address: str | None = None
    gpu_model: str | None = None
    site: Path | None = None

    @property
    def here(self) -> bool:
        """Whether this machine measures."""
        return self.executor == "inline"


HERE = Placing()


def placing(
    executor: str, address: str | None, gpu_model: str | None, site: Path | None
) -> Placing:
    """The options, checked against each other. Raises InputError."""
    from harness.matrix.names import known_name

    try:
        known_name("executor", executor, NAMES)
    except ValueError as error:
        raise InputError(str(error)) from error
    if address is not None and executor != "ray":
        raise InputError("--address is a Ray cluster's", "add --executor ray")
    if site is not None and executor != "slurm":
        raise InputError("--site is of a cluster with Slurm", "add --executor slurm")
    if gpu_model is not None and executor == "inline":
        raise InputError(
            "--gpu-model chooses among the machines of a fleet or a cluster",
            "add --executor ray or slurm; on this machine --gpu takes an index or a UUID",
        )
    return Placing(executor, address, gpu_model, site)


def refuse_what_is_of_one_machine(
    chosen: Placing, gpu: str, parallel: bool, until_ci: str | None
) -> None:
    """Options that say something of one machine alone. Raises InputError."""
    if chosen.here:
        return
    if parallel:
        raise InputError(
            f"--parallel is of one machine's GPUs; --executor {chosen.executor} uses all machines "
            "at once as it is",
            "leave it out",
        )
    if until_ci is not None:
        raise InputError(
            f"--until-ci needs the repeats of a case on one machine, and --executor "
            f"{chosen.executor} spreads them over all: machines are compared, never averaged",
            "write how often each case is measured into the matrix (repeats: 5)",
        )
    if chosen.gpu_model is not None and gpu == "cpu":
        raise InputError("--gpu-model asks for a GPU, and --gpu cpu for none", "leave one out")


@contextmanager
def placed(
    chosen: Placing, matrix: Matrix, request: Request, note: Note
) -> Iterator[Elsewhere | None]:
    """What measures elsewhere, for as long as this lasts; None where this machine does.

    Raises InputError and MachineError.
    """
    if chosen.here:
        yield None
        return
    with EXECUTORS[chosen.executor](chosen, request.means(matrix), note) as executor:
        yield executor


def _ray(chosen: Placing, means: Means, note: Note) -> AbstractContextManager[Elsewhere]:
    from harness.executors.ray.fleet import ray_executor

    return ray_executor(means, chosen.address, chosen.gpu_model, note)


def _slurm(chosen: Placing, means: Means, _note: Note) -> AbstractContextManager[Elsewhere]:
    from harness.executors.slurm.executor import slurm_executor

    return nullcontext(slurm_executor(means, chosen.site, chosen.gpu_model))


EXECUTORS: Mapping[str, Callable[[Placing, Means, Note], AbstractContextManager[Elsewhere]]] = {
    "ray": _ray,
    "slurm": _slurm,
}
"""How each executor that measures elsewhere is reached, by the name that `--executor` takes."""

NAMES = ("inline", *EXECUTORS)
