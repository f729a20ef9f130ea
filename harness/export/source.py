"""What is exported: a matrix, byte for byte, its cases, and the harness that is to measure them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import __version__
from harness.catalog import default_image, images
from harness.errors import InputError
from harness.matrix import Matrix, Selection, expand, load
from harness.model import Case
from harness.runtimes.interpreter import FRAMEWORKS

DISTRIBUTION = "dl-feasibility-harness"


@dataclass(frozen=True)
class Source:
    """`text` is the matrix as it is written in `name`; `cases` those of it that are taken.

    `requirement` is what pip installs as the harness: a pin, an address, or a wheel's path.
    `selection` are the words of --only and --skip, as a command takes them.
    """

    name: str
    text: str
    cases: tuple[Case, ...]
    requirement: str
    selection: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """As `run.json` tells it of every run of this matrix."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def frameworks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(case.framework for case in self.cases))

    @property
    def wheel(self) -> Path | None:
        """The harness as a file of this machine, where it is one."""
        local = self.requirement.endswith(".whl") and "://" not in self.requirement
        return Path(self.requirement) if local else None


def source(
    file: Path, selection: Selection, words: Sequence[str] = (), harness: str | None = None
) -> Source:
    """The matrix in `file`, checked. Raises InputError.

    A case that names a GPU is refused: which one it gets is what an export is about.
    """
    matrix, text = load(file)
    if text.encode() != file.read_bytes():
        raise InputError(f"{file} is not UTF-8", "save it as UTF-8: it is copied byte for byte")
    cases = selection.of(expand(matrix))
    _refuse_named_gpus(cases, matrix, file)
    asked = (harness or f"{DISTRIBUTION}=={__version__}").strip()
    made = Source(file.name, text, tuple(cases), asked, tuple(words))
    if made.wheel is not None and not made.wheel.is_file():
        raise InputError(
            f"--harness {asked}: there is no such file", "make it: pip wheel . --no-deps"
        )
    if not asked or asked.startswith("-") or "\n" in asked:
        raise InputError(
            f"--harness {asked!r} is nothing that pip installs",
            f"write {DISTRIBUTION}=={__version__}, the address of a wheel, or a wheel's path",
        )
    return made


def _refuse_named_gpus(cases: Sequence[Case], matrix: Matrix, file: Path) -> None:
    named = next((case for case in cases if case.gpu != "auto"), None)
    if named is not None:
        raise InputError(
            f"{matrix.where('axes')}{file} names the gpu itself ({named.id}: gpu {named.gpu}), and "
            "an export says which GPU each machine has",
            "take gpu out of the matrix, or leave those cases out: --skip gpu=" + named.gpu,
        )


def modules(framework: str) -> str:
    """What a Python must hold to run the framework's cases, as words."""
    return " ".join(FRAMEWORKS[framework].modules)


def served_image(framework: str, option: str) -> str:
    """The framework's image by digest, as any engine pulls it. Raises InputError.

    An image that is built here has no name that another machine could pull: `option` names one.
    """
    name = default_image(framework, "gpu")
    entry = images()[name]
    if entry.build is not None:
        raise InputError(
            f"the image of {framework} ({name}) is built, and no registry serves it",
            f"push it to a registry of yours and name it: {option} REGISTRY/{name}@sha256:… ; or "
            f"leave {framework} out: --skip framework={framework}",
        )
    return entry.pinned_reference


def refuse_what_local_lacks(cases: Sequence[Case], where: str) -> None:
    """Raise InputError for what the runtime local refuses, which is all that `where` can have."""
    for case in cases:
        if case.image is not None:
            raise InputError(
                f"{case.id} names the image {case.image}, and {where} the case runs in the image "
                "that is started, without an engine",
                "take image out of the matrix, or leave those cases out: --only image=default",
            )
        if "memory_limit" in case.overrides:
            raise InputError(
                f"{case.id} limits memory, and {where} no engine could keep the limit",
                "take memory_limit out of the matrix",
            )
