"""A run folder from another machine: taken out of its tar stream file by file, then put in place.

Nothing that the stream says is trusted: only plain files and folders, only below the folder.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO

from harness.errors import MachineError
from harness.results.files import told_clearly
from harness.results.run import JOURNAL, RUN_FILE

MAX_FILES = 200_000
"""A run of 20,000 attempts has half of that."""


def unpack(stream: IO[bytes], into: Path) -> list[str]:
    """Write the stream's files below `into`; what was left out, told.

    Raises MachineError where this disk refuses, `tarfile.TarError` where the stream breaks off.
    """
    left_out: list[str] = []
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for count, member in enumerate(tar):
            if count >= MAX_FILES:
                raise MachineError(f"the other machine sent more than {MAX_FILES} files")
            path = safe_path(member.name)
            if path is None or not (member.isfile() or member.isdir()):
                left_out.append(member.name)
                continue
            _write(tar, member, into / path)
    return left_out


def safe_path(name: str) -> PurePosixPath | None:
    """The path below a folder that `name` is; None where it leads out of it, or nowhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name:
        return None
    return path if name.isprintable() else None


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    with told_clearly(target):
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        file = target.open("xb")
    source = tar.extractfile(member)
    assert source is not None
    with file:
        left = member.size
        while left:
            piece = source.read(min(left, 1 << 20))
            if not piece:
                raise tarfile.ReadError(f"{member.name} breaks off")
            with told_clearly(target):
                file.write(piece)
            left -= len(piece)
    with told_clearly(target):
        target.chmod(0o644)


class Incoming:
    """A folder beside the runs in which one arrives; `settle` renames it into place."""

    def __init__(self, results: Path, job: str) -> None:
        self.results = results
        self.job = job
        with told_clearly(results):
            results.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=f".arriving-{job}-", dir=results))

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def settle(self, part: Path | None = None) -> Path | None:
        """The run's folder in its place, which is that of the `part` that was here before.

        The part stays where nothing that is a run arrived; None where there is none of both.
        """
        arrived = [path for path in sorted(self.folder.iterdir()) if (path / RUN_FILE).is_file()]
        if not arrived:
            return part
        (run,) = arrived[-1:]
        target = part or self.results / run.name
        if part is not None:
            with told_clearly(part):
                part.rename(self.folder / "part")
        elif target.exists():
            if _same_journal(run, target):  # it was brought before, and nobody noted it
                return target
            target = self.results / f"{run.name}-{self.job}"
        with told_clearly(target):
            run.chmod(0o755)
            run.rename(target)
        return target


def _same_journal(one: Path, other: Path) -> bool:
    journals = [path / JOURNAL for path in (one, other)]
    contents = [path.read_bytes() if path.is_file() else b"" for path in journals]
    return contents[0] == contents[1]
