"""From a file, or a command line, to a checked matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.errors import InputError
from harness.matrix.document import Document, Place, read
from harness.matrix.names import suggestion
from harness.matrix.schema import AXES, Axes, Choice, Exclude, Include, Matrix, Settings

MAX_BYTES = 1_000_000
_SECTIONS: dict[str, type[BaseModel]] = {
    "axes": Axes,
    "defaults": Choice,
    "gpu_only": Axes,
    "include": Include,
    "exclude": Exclude,
}
_OF_A_CASE = frozenset(Settings.model_fields)


def load(path: Path) -> tuple[Matrix, str]:
    """The matrix in `path`, and the file's text. Raises InputError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError(f"there is no matrix file {path}", _ready_made()) from error
    except OSError as error:
        raise InputError(f"cannot read the matrix file {path}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path} is too long; a matrix file has at most {MAX_BYTES} bytes")
    matrix = parse(raw, str(path))
    return matrix, raw.decode("utf-8", "replace")


def _ready_made() -> str:
    there = sorted(str(p) for p in Path("matrices").glob("*.yaml"))
    return f"ready to use: {', '.join(there)}" if there else ""


def parse(text: str | bytes, name: str = "matrix") -> Matrix:
    """The matrix in a YAML text. Raises InputError with file, line, column and a suggestion."""
    document = read(text, name)
    if not isinstance(document.data, dict):
        found = "empty" if document.data is None else f"a {type(document.data).__name__}"
        raise InputError(f"{name} is {found}; a matrix file is a mapping that begins with axes:")
    return validate(document)


def validate(document: Document) -> Matrix:
    """`document.data` as a matrix. Raises InputError naming the first places that are wrong."""
    try:
        matrix = Matrix.model_validate(document.data)
    except ValidationError as error:
        problems = dict.fromkeys(_problem(document, found) for found in error.errors())
        raise InputError("\n".join(problems)) from error
    later = [place for place in document.marks if place[:1] in _TOLD_LATER and len(place) < 4]
    return matrix.remember({place: document.where(place) for place in later})


_TOLD_LATER: tuple[Place, ...] = ((), ("axes",), ("include",), ("exclude",), ("gpu_only",))
"""Parts of a file whose mistakes may show only when the cases are there."""


def _problem(document: Document, found: Any) -> str:
    place = tuple(part for part in found["loc"] if part != "[key]")
    where = document.where(place)
    key = str(place[-1]) if place else ""
    name = ".".join(str(part) for part in place if not isinstance(part, int))
    if found["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}; {_meant(key, place[:-1])}"
    if found["type"] == "model_type":
        one = "an entry of " if isinstance(place[-1], int) else ""
        return f"{where}: {one}{name} must be a mapping, such as {{model: …}}"
    if found["type"] == "value_error":
        return f"{where}: {name}: {found['ctx']['error']}"
    given = found["input"]
    shown = f", not {given!r}" if isinstance(given, (str, int, float, type(None))) else ""
    return f"{where}: {name}: {_plain(found['msg'])}{shown}"


def _meant(key: str, inside: tuple[str | int, ...]) -> str:
    """What somebody may have meant who wrote an unknown key in a section, or outside of them."""
    section = str(inside[0]) if inside else ""
    if not section and key in AXES:
        return f"it stands under axes, as {key}: […], or under defaults"
    if section and key in Matrix.model_fields:
        entries = " or in an entry of include" if key in _OF_A_CASE else ""
        return f"it stands at the top of the file{entries}, not in {section}"
    return suggestion(key, _SECTIONS.get(section, Matrix).model_fields)


_WORDS = {"valid tuple": "list, such as [a, b]", "valid dictionary": "mapping", "Tuple": "list"}


def _plain(message: str) -> str:
    message = message.replace("Input ", "")
    for theirs, ours in _WORDS.items():
        message = message.replace(theirs, ours)
    return message[:1].lower() + message[1:]
