"""Compare the images of this machine with the catalog."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.catalog import ImageEntry, images
from harness.errors import InputError
from harness.images.store import Found, State, examine
from harness.matrix.names import known_name
from harness.runtimes.engine import Engine

DIFFERS = (State.STALE, State.OTHER)


@dataclass(frozen=True)
class Verified:
    """`differs` where the image must not be taken for the catalog's."""

    name: str
    state: str
    detail: str
    differs: bool


def verify(engine: Engine, names: Iterable[str] = ()) -> list[Verified]:
    """Each image of `names`, which must all be here; without any, every image of the catalog.

    Raises InputError and NoEngineError.
    """
    try:
        chosen = [known_name("image", name, images()) for name in names]
    except ValueError as error:
        raise InputError(str(error)) from error
    return [
        _verified(name, images()[name], examine(engine, images()[name]), bool(chosen))
        for name in chosen or images()
    ]


def _verified(name: str, entry: ImageEntry, found: Found, asked_for: bool) -> Verified:
    if found.here is not None:
        state = "here, unpinned" if found.here.unpinned else "here, pinned"
        detail = found.here.unpinned or str(found.here.identity.digest)
        return Verified(name, state, detail, differs=False)
    if found.state is State.MISSING:
        how = f"harness images {'build' if entry.build else 'pull'} {name}"
        return Verified(name, found.state.value, how, differs=asked_for)
    return Verified(name, found.state.value, found.detail, found.state in DIFFERS)
