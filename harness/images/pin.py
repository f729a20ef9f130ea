"""Put the digests that registries tell into the catalog's file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import tomlkit

from harness.catalog import Pinned, base_of, bases, images
from harness.catalog.images import SHIPPED, Place, place_of
from harness.errors import InputError, NoImageError
from harness.images.context import in_checkout
from harness.images.registry import registry_digest
from harness.matrix.names import known_name
from harness.results.files import write_atomic
from harness.runtimes.engine import Engine


@dataclass(frozen=True)
class Answer:
    """What became of one entry: the registry's digest, or why there is none."""

    place: Place
    entry: Pinned
    digest: str | None = None
    error: NoImageError | None = None

    @property
    def changed(self) -> bool:
        return self.digest is not None and self.digest != self.entry.digest


def served(names: Iterable[str] = ()) -> dict[str, Pinned]:
    """Entries that a registry serves; without `names` all of them. Raises InputError.

    An image that is built here stands for the base it is built on.
    """
    try:
        chosen = [known_name("image", name, {**images(), **bases()}) for name in names]
    except ValueError as error:
        raise InputError(str(error)) from error
    pulled = (name for name, entry in images().items() if entry.build is None)
    return dict(map(_served, chosen or [*pulled, *bases()]))


def _served(name: str) -> tuple[str, Pinned]:
    entry = bases().get(name) or images()[name]
    build = getattr(entry, "build", None)
    return (build.base, base_of(build)) if build else (name, entry)


def ask(engine: Engine, entries: Mapping[str, Pinned]) -> list[Answer]:
    """Ask for each; one that fails keeps nothing from the others."""
    return [_ask(engine, place_of(name), entry) for name, entry in entries.items()]


def _ask(engine: Engine, place: Place, entry: Pinned) -> Answer:
    try:
        return Answer(place, entry, digest=registry_digest(engine, entry.reference))
    except NoImageError as error:
        return Answer(place, entry, error=error)


def check_writable(entries: Iterable[str]) -> None:
    """Raise InputError where a digest could not be written: found before a registry is asked."""
    for path in {place_of(name).file.resolve() for name in entries}:
        if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            raise InputError(f"{path} may not be written, and the digests belong there", _ELSEWHERE)
        if path == SHIPPED.resolve() and not in_checkout():
            raise InputError(f"{path} belongs to an installed package", _ELSEWHERE)


_ELSEWHERE = (
    "put the entry into a file of your own and name that by HARNESS_IMAGES, "
    "or look at what would change: --dry-run"
)


def write(answers: Iterable[Answer]) -> None:
    """Rewrite the files that the changed entries stand in, each at once. Raises MachineError."""
    digests: dict[Path, dict[tuple[str, str], str]] = {}
    for answer in answers:
        if answer.changed and answer.digest is not None:
            of_file = digests.setdefault(answer.place.file.resolve(), {})
            of_file[answer.place.table, answer.place.name] = answer.digest
    for path, of_file in digests.items():
        write_atomic(path, rewritten(path.read_text("utf-8"), of_file))


def rewritten(text: str, digests: Mapping[tuple[str, str], str]) -> str:
    """The catalog's text with these digests by (table, name); all else as it was, comments too."""
    document = tomlkit.parse(text)
    for (table, name), digest in digests.items():
        entry = cast(dict[str, Any], document[table])[name]
        entry["digest"] = digest
    return tomlkit.dumps(document)
