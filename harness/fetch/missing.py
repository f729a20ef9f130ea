"""The missing files of datasets: which they are, and who has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.catalog import datasets
from harness.errors import MachineError
from harness.fetch.asking import Fault, MirrorFailed, Patience, first_answers
from harness.fetch.download import Wanted, retrieve
from harness.fetch.mirrors import MIRROR_SETTING, listed, mirrors_of, shown
from harness.fetch.place import alone_in, cannot_write, check_room, make_folders
from harness.units import human_bytes

ROUNDS = 3
"""How often a mirror that broke off is asked to go on, in one call."""

OnProgress = Callable[[str, int, int], None]
"""Told of a file: its label, the bytes that are there, the bytes it has when whole."""


class NoMirrorError(MachineError):
    """No mirror gave the files; what else was wanted has been fetched."""


@dataclass(frozen=True)
class Fetched:
    """What a call fetched; nothing where all was there. `bytes` is the files' size."""

    files: tuple[Path, ...] = ()
    bytes: int = 0


@dataclass(frozen=True)
class Terms:
    """How a call fetches.

    `mirrors` (by dataset folder) stands in for the catalog's. With `replace_damaged` a file that
    is here and damaged is fetched anew; without, it is an error.
    """

    patience: Patience = field(default_factory=Patience)
    mirrors: Mapping[str, Sequence[str]] | None = None
    replace_damaged: bool = False


def fetch_missing(
    names: Iterable[str],
    folder: Path,
    note: Callable[[str], None],
    on_progress: OnProgress | None = None,
    terms: Terms | None = None,
) -> Fetched:
    """Bring every file of the named datasets into `<folder>/<dataset's folder>/`.

    A file that is here and right is kept. `note` is told sizes, mirrors that failed, and each
    file done. Raises NoMirrorError when all that could be fetched has been and something is still
    missing; MachineError for a damaged file that is to stay, and where this machine has no room
    or may not write; InputError for a HARNESS_MIRROR that is no address.
    """
    terms = terms or Terms()
    wanted: dict[Path, Wanted] = {}
    bases: dict[str, tuple[str, ...]] = {}
    for entry in map(datasets().__getitem__, names):
        if entry.folder is not None:
            bases[entry.folder] = mirrors_of(entry.folder, entry.mirrors, terms.mirrors)
            for file, published in entry.files.items():
                path = folder / entry.folder / file
                wanted[path] = Wanted(entry.folder, published, path)
    if not _missing(wanted.values(), terms.replace_damaged):
        return Fetched()
    with alone_in(folder, note):
        missing = _missing(wanted.values(), terms.replace_damaged)
        if missing:
            for item in missing:
                if item.path.exists():
                    note(f"{item.path} is damaged: fetching it anew")
            make_folders(missing)
            check_room(missing, folder, note)
            _Fetching(bases, terms.patience, note, on_progress).run(missing)
    return Fetched(tuple(item.path for item in missing), sum(item.entry.bytes for item in missing))


class _Fetching:
    """One call's downloads. Remembers the mirrors that are not worth asking again."""

    def __init__(
        self,
        bases: Mapping[str, Sequence[str]],
        patience: Patience,
        note: Callable[[str], None],
        on_progress: OnProgress | None,
    ) -> None:
        self._bases = bases
        self._patience = patience
        self._note = note
        self._on_progress = on_progress
        self._gone: dict[str, MirrorFailed] = {}

    def run(self, missing: Sequence[Wanted]) -> None:
        """Fetch all that can be. Raises NoMirrorError, MachineError."""
        self._look_who_is_there(missing)
        failed: dict[tuple[str, ...], list[Wanted]] = {}
        for item in missing:
            try:
                problems = self._fetch(item)
            except OSError as error:
                raise cannot_write(item.path, error) from error
            except KeyboardInterrupt:
                self._note("interrupted: what is here stays, the same command goes on from there")
                raise
            if problems is not None:
                failed.setdefault(problems, []).append(item)
        if failed:
            raise _no_mirror(failed)

    def _look_who_is_there(self, missing: Sequence[Wanted]) -> None:
        first_of = {item.folder: item.path.name for item in reversed(missing)}
        asked = {
            base + name: base for folder, name in first_of.items() for base in self._bases[folder]
        }
        groups = [[url for url in asked if asked[url] in self._bases[f]] for f in first_of]
        for url, failure in first_answers(groups, self._patience).items():
            if failure is not None and failure.fault is Fault.GONE:
                self._leave(asked[url], failure)

    def _fetch(self, item: Wanted) -> tuple[str, ...] | None:
        """None where the file is here; else what each mirror did."""
        problems: dict[str, MirrorFailed] = {}
        most = item.part_bytes
        for _ in range(ROUNDS):
            for base in self._bases[item.folder]:
                if base in self._gone:
                    problems.setdefault(base, self._gone[base])
                elif base not in problems or problems[base].fault is Fault.BROKE_OFF:
                    failure = self._try(base, item)
                    if failure is None:
                        return None
                    problems[base] = failure
            if item.part_bytes <= most:
                break  # another round would end where this one did
            most = item.part_bytes
        return tuple(f"{shown(base)} {problem.reason}" for base, problem in problems.items())

    def _try(self, base: str, item: Wanted) -> MirrorFailed | None:
        size = item.entry.bytes

        def on_bytes(done: int) -> None:
            if self._on_progress is not None:
                self._on_progress(item.label, done, size)

        if item.part_bytes:
            self._note(f"{item.label}: {human_bytes(item.part_bytes)} are here from before")
        try:
            retrieve(base, item, self._patience, on_bytes)
        except MirrorFailed as failure:
            if failure.fault is Fault.GONE:
                self._leave(base, failure)
            else:
                self._note(f"{item.label}: {shown(base)} {failure.reason}")
            return failure
        self._note(f"{item.label}: {human_bytes(size)} from {shown(base)}, checksum right")
        return None

    def _leave(self, base: str, failure: MirrorFailed) -> None:
        self._gone[base] = failure
        self._note(f"{shown(base)} {failure.reason}: not asked again")


def _missing(wanted: Iterable[Wanted], replace_damaged: bool) -> list[Wanted]:
    """Those not here, and damaged ones that may be replaced; MachineError where one may not."""
    import pooch

    missing = []
    for item in wanted:
        try:
            if not item.path.exists():
                missing.append(item)
                continue
            if pooch.file_hash(str(item.path), alg="sha256") == item.entry.sha256:
                continue
        except OSError as error:
            raise MachineError(f"{item.path} cannot be read: {error.strerror}") from error
        if not replace_damaged:
            raise MachineError(
                f"{item.path} is damaged: its SHA-256 is not the published one",
                "replace it with harness data fetch",
            )
        missing.append(item)
    return missing


def _no_mirror(failed: Mapping[tuple[str, ...], Sequence[Wanted]]) -> NoMirrorError:
    parts = [
        f"{listed(item.label for item in items)}: {'; '.join(problems) or 'no mirror is known'}"
        for problems, items in failed.items()
    ]
    folders = dict.fromkeys(str(item.path.parent) for items in failed.values() for item in items)
    return NoMirrorError(
        f"no mirror gave {'. '.join(parts)}",
        f"check the network and run the same command, which goes on where it stopped; name a "
        f"mirror of your own in {MIRROR_SETTING}; or put the files into {', '.join(folders)}",
    )
