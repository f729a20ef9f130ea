"""Images of the catalog as SIF files in the user's cache: pulled once, by digest."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.catalog import ImageEntry
from harness.errors import NoImageError
from harness.host.home import cache_folder
from harness.units import human_bytes

OnProgress = Callable[[str], None]


def sif_folder() -> Path:
    """Where SIF files are kept. Raises MachineError where this user has no home."""
    return cache_folder() / "sif"


def sif_path(entry: ImageEntry, context: str | None = None) -> Path:
    """Where the image's file is kept, or would be. Raises MachineError without a home.

    `context` as `sif_name` has it.
    """
    return sif_folder() / sif_name(entry, context)


def sif_name(entry: ImageEntry, context: str | None = None) -> str:
    """The file's name: from the digest where one is known, else from the reference.

    `context` is the digest of the files that an image is built from here: other files make
    another image of the same name.
    """
    if entry.digest is not None:
        return entry.digest.replace(":", "-") + ".sif"
    words = re.sub(r"[^A-Za-z0-9.]+", "-", entry.reference)
    return words + (f"-{context[:12]}" if context else "") + ".sif"


def ensure(
    program: str,
    name: str,
    entry: ImageEntry,
    on_progress: OnProgress,
    context: str | None = None,
) -> Path:
    """The image's SIF file, pulled first where it is missing.

    Raises NoImageError where it is not to be had.
    """
    path = sif_path(entry, context)
    folder = path.parent
    if path.is_file():
        return path
    if entry.build is not None:
        raise NoImageError(
            f"the image {name} is built from a Dockerfile, and apptainer can only pull",
            f"harness images build {name} where Docker is, then: "
            f"{program} build {path} docker-daemon://{entry.reference}",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock"), on_progress):
            if not path.is_file():  # nobody pulled it meanwhile
                _check_space(folder, name, entry)
                _pull(program, entry, path, on_progress)
    except OSError as error:
        raise NoImageError(
            f"the image {name} cannot be kept in {folder}: {error.strerror}",
            "name a folder that can be written in XDG_CACHE_HOME",
        ) from error
    return path


@contextmanager
def _alone(path: Path, on_progress: OnProgress) -> Iterator[None]:
    """Hold the lock `path`, and wait for it where another harness pulls the same image."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress("another harness pulls this image: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_space(folder: Path, name: str, entry: ImageEntry) -> None:
    needed, free = entry.room_needed, shutil.disk_usage(folder).free
    if free < needed:
        raise NoImageError(
            f"the image {name} needs about {human_bytes(needed)} in {folder}, "
            f"which has {human_bytes(free)} free",
            "free some space: apptainer cache clean removes what it downloaded before",
        )


def _pull(program: str, entry: ImageEntry, path: Path, on_progress: OnProgress) -> None:
    """With the caller's whole environment, which holds the credentials for the registry."""
    part = path.with_suffix(".part")
    on_progress(f"pulling {entry.pinned_reference} into {path}")
    line = [program, "pull", "--force", str(part), f"docker://{entry.pinned_reference}"]
    last = ""
    try:
        with subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for text in filter(None, map(str.strip, process.stdout)):
                last = text
                on_progress(f"  {text}")
        if process.returncode != 0:
            raise NoImageError(
                f"{entry.pinned_reference} cannot be pulled: {last or 'it said nothing'}",
                f"check the network and {program} registry login, "
                "or measure without a container: --runtime local",
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
