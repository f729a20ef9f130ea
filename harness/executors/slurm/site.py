"""What a cluster wants to be told: its small site file, checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr, ValidationError

from harness.errors import InputError
from harness.matrix.document import Document, read
from harness.matrix.names import suggestion
from harness.model import Frozen
from harness.units import parse_duration

MAX_BYTES = 100_000
MODEL = "{model}"
"""Stands in `gres` for the GPU's model that the command line names."""

OWN_OPTIONS = ("array", "job-name", "output", "error", "open-mode", "no-requeue", "requeue")
"""Options of sbatch that the harness writes itself: it finds its tasks and their output by them."""

AT_ONCE = 32
MOST_AT_ONCE = 1000


def _one_line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError(f"{value!r} is no single line of printable characters")
    return value.strip()


def _option(value: str) -> str:
    word = _one_line(value)
    name = re.match(r"--([a-z][a-z-]*)", word)
    if name is None:
        raise ValueError(f"{value!r} is no option of sbatch; write it whole, such as --mem=32G")
    if name[1] in OWN_OPTIONS:
        raise ValueError(f"--{name[1]} is the harness's own: it finds its tasks by it")
    return word


def _shell_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError(f"{value!r} is not one line; write each as an entry of its own")
    return value


def _seconds(value: object) -> float:
    return parse_duration(value) if isinstance(value, (str, int, float)) else parse_duration("")


Seconds = Annotated[float, BeforeValidator(_seconds)]
Word = Annotated[StrictStr, AfterValidator(_one_line)]
Option = Annotated[StrictStr, AfterValidator(_option)]
ShellLine = Annotated[StrictStr, AfterValidator(_shell_line)]


class Site(Frozen):
    """How this user's tasks are asked of the cluster; what is left out is Slurm's own default.

    `gres` is what a case on a GPU asks for, `{model}` in it the model that the command line names;
    `extra` are further options of sbatch; `python` is the interpreter that has the harness there;
    `prologue` are lines of shell before it; `at_once` is how many tasks are queued at a time.
    Slurm is asked every `poll` seconds; a record may take `grace` seconds to be seen through the
    shared file system once its task has ended.
    """

    partition: Word | None = None
    account: Word | None = None
    constraint: Word | None = None
    gres: Word | None = None
    time: Word | None = None
    extra: tuple[Option, ...] = ()
    python: Word | None = None
    prologue: tuple[ShellLine, ...] = ()
    at_once: StrictInt = Field(default=AT_ONCE, ge=1, le=MOST_AT_ONCE)
    poll: Seconds = Field(default=5.0, ge=0.1, le=3600)
    grace: Seconds = Field(default=45.0, ge=0.1, le=3600)


def load_site(path: Path | None) -> Site:
    """The site file `path`; Slurm's own defaults where there is none. Raises InputError."""
    if path is None:
        return Site()
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"cannot read the site file {path}: {error.strerror}", "docs/slurm.md shows one"
        ) from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path} is too long; a site file has at most {MAX_BYTES} bytes")
    document = read(raw, str(path))
    if document.data is None:
        return Site()
    if not isinstance(document.data, dict):
        raise InputError(
            f"{path} is a {type(document.data).__name__}; a site file is a mapping, such as "
            "{partition: gpu}",
            "docs/slurm.md shows one",
        )
    return _checked(document)


def _checked(document: Document) -> Site:
    try:
        return Site.model_validate(document.data)
    except ValidationError as error:
        told = [_problem(document, found["loc"], found) for found in error.errors()]
        raise InputError("\n".join(dict.fromkeys(told)), "docs/slurm.md shows one") from error


def _problem(document: Document, place: tuple[str | int, ...], found: object) -> str:
    assert isinstance(found, dict)
    where, name = document.where(place), str(place[0])
    if found["type"] == "extra_forbidden":
        meant = suggestion(name, Site.model_fields)
        return f"{where}: unknown key {name!r}; {meant}"
    if found["type"] == "value_error":
        return f"{where}: {name}: {found['ctx']['error']}"
    said = str(found["msg"]).replace("Input ", "").replace("valid tuple", "list, such as [a, b]")
    hint = "; write it in quotes" if name == "time" and isinstance(found["input"], int) else ""
    return f"{where}: {name}: {said[:1].lower()}{said[1:]}, not {found['input']!r}{hint}"


def gres_of(site: Site, model: str | None) -> str | None:
    """What a case on a GPU asks for; None where the cluster was asked for no GPU.

    `model` is the GPU's as Slurm names it. Raises InputError where the two do not go together.
    """
    if model is not None and re.fullmatch(r"[A-Za-z0-9_.-]+", model) is None:
        raise InputError(f"{model!r} is no name of a GPU as Slurm has them, such as a100")
    if site.gres is None:
        return None if model is None else f"gpu:{model}:1"
    if MODEL not in site.gres:
        if model is not None:
            raise InputError(
                f"the site file asks for gres {site.gres}, whatever the GPU's model",
                f"write gres: gpu:{MODEL}:1 there, or do not name the model",
            )
        return site.gres
    if model is None:
        raise InputError(
            f"the site file's gres is {site.gres}, and no model is named",
            "name the GPU's model as Slurm has it (sinfo -o %G shows them)",
        )
    return site.gres.replace(MODEL, model)
