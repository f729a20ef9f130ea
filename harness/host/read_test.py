"""How fast a file is read from a folder's storage and not from memory: a short test."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import time
from pathlib import Path

from harness.model import Frozen

FILE_BYTES = 32 << 20
PIECE = 1 << 20
WRITE_S, READ_S = 0.5, 0.3
"""Slow storage gets a smaller file and reads less of it."""
KEEP_FREE = 1 << 30


class ReadTest(Frozen):
    """Sequential reads of 1 MiB, one after another, from a file written just before.

    `mbs` in 10^6 bytes a second. `how`: ``direct`` goes past the kernel's cache (O_DIRECT);
    ``dropped`` asked the kernel to forget the file first, which it need not do. The storage's own
    cache, a server's or a virtual machine's host's cannot be avoided: an upper bound there.
    """

    mbs: float
    how: str
    bytes: int


def read_test(folder: Path) -> ReadTest | None:
    """None where it cannot be told: no room, or nothing may be written there."""
    try:
        if shutil.disk_usage(folder).free < KEEP_FREE:
            return None
        with tempfile.TemporaryFile(dir=folder) as file:  # has no name: nothing is left behind
            _fill(file.fileno())
            return _direct(file.fileno()) or _dropped(file.fileno())
    except OSError:
        return None


def _fill(handle: int) -> None:
    until = time.perf_counter() + WRITE_S
    for _ in range(FILE_BYTES // PIECE):
        os.write(handle, os.urandom(PIECE))
        if time.perf_counter() > until:
            break
    os.fsync(handle)


def _direct(handle: int) -> ReadTest | None:
    try:
        again = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_DIRECT)
    except (OSError, AttributeError):
        return None
    try:
        return _timed(again, "direct")
    except OSError:  # this file system takes the flag and refuses the read
        return None
    finally:
        os.close(again)


def _dropped(handle: int) -> ReadTest | None:
    if not hasattr(os, "posix_fadvise"):
        return None
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(handle, 0, os.SEEK_SET)
    return _timed(handle, "dropped")


def _timed(handle: int, how: str) -> ReadTest | None:
    with mmap.mmap(-1, PIECE) as page_aligned:
        total, began = 0, time.perf_counter()
        while time.perf_counter() - began < READ_S:
            got = os.readv(handle, [page_aligned])
            if not got:
                break
            total += got
        seconds = time.perf_counter() - began
    if not total or not seconds:
        return None
    return ReadTest(mbs=round(total / 1e6 / seconds, 1), how=how, bytes=total)
