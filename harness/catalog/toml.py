"""Reading the catalog's TOML files."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def shipped(name: str) -> dict[str, Any]:
    """The catalog file `name` as it is shipped."""
    return tomllib.loads((resources.files("harness.catalog") / name).read_text("utf-8"))


def users(path: Path) -> dict[str, Any]:
    """A catalog file of the user's own. Raises InputError."""
    return parsed(users_text(path), str(path))


def users_text(path: Path) -> str:
    """The same as text. Raises InputError."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no TOML file: {error}") from error


def parsed(text: str, source: str) -> dict[str, Any]:
    """TOML as tables; `source` is what an error calls it. Raises InputError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source} is no TOML file: {error}") from error


def first_problem(error: ValidationError) -> str:
    """The first of pydantic's findings in one line."""
    found = error.errors()[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"
