"""One file from one mirror, going on where an earlier download ended: a downloader for pooch."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.catalog import FileEntry
from harness.fetch.asking import Fault, MirrorFailed, Patience, ask

if TYPE_CHECKING:
    from requests import Response

PIECE = 64 * 1024
"""Bytes asked of the connection at a time."""


@dataclass(frozen=True)
class Wanted:
    """A published file and where it belongs on this machine."""

    folder: str
    entry: FileEntry
    path: Path

    @property
    def label(self) -> str:
        """`mnist/t10k-labels-idx1-ubyte.gz`."""
        return f"{self.folder}/{self.path.name}"

    @property
    def part(self) -> Path:
        """Where its bytes are kept until they are whole."""
        return self.path.with_name(self.path.name + ".part")

    @property
    def part_bytes(self) -> int:
        """How many bytes an earlier download left; 0 where none did."""
        try:
            return self.part.stat().st_size
        except OSError:
            return 0


def retrieve(
    base: str, wanted: Wanted, patience: Patience, on_bytes: Callable[[int], None]
) -> None:
    """Download a file from the mirror `base`; it appears only when its checksum is right.

    `on_bytes` is told how many bytes are there. Raises MirrorFailed, and OSError where this
    machine cannot write; the bytes so far stay in the part file where going on makes sense.
    """
    import logging

    import pooch

    pooch.get_logger().setLevel(logging.WARNING)  # what it would say is said by the progress
    download = ResumingDownload(wanted, patience, on_bytes)
    path, checksum = wanted.path, f"sha256:{wanted.entry.sha256}"
    while True:
        try:
            pooch.retrieve(base + path.name, checksum, path.name, path.parent, downloader=download)
        except ValueError:
            # Bytes of an earlier download may be the wrong ones: no reason to blame this mirror.
            if not download.resumed:
                raise MirrorFailed("served other bytes than the published file's") from None
        else:
            return


class ResumingDownload:
    """Called by pooch with an address and the name of a temporary file to fill."""

    def __init__(self, wanted: Wanted, patience: Patience, on_bytes: Callable[[int], None]) -> None:
        self.resumed = False
        """Whether the last download began with bytes of an earlier one."""
        self._wanted = wanted
        self._part = wanted.part
        self._size = wanted.entry.bytes
        self._patience = patience
        self._on_bytes = on_bytes

    def __call__(self, url: str, output_file: str, pooch: object) -> None:  # noqa: ARG002 - pooch's protocol
        """Raises MirrorFailed, or OSError where this machine cannot write."""
        have = self._wanted.part_bytes
        if have != self._size:
            have = self._transfer(url, have if have < self._size else 0)
        self.resumed = have > 0
        self._part.replace(output_file)

    def _transfer(self, url: str, have: int) -> int:
        """Fill the part; returns how many of its bytes were there before."""
        response = ask(url, have, self._patience)
        if have and not self._goes_on(response, have):
            response.close()
            have, response = 0, ask(url, 0, self._patience)
        with response:
            start = have if response.status_code == 206 else 0
            self._check(response, start)
            self._write(response, start)
        return start

    def _goes_on(self, response: Response, have: int) -> bool:
        """Whether the answer can be used; a refused or a wrong range cannot."""
        if response.status_code == 206:
            told = response.headers.get("Content-Range", "")
            pattern = rf"bytes {have}-{self._size - 1}/(\*|{self._size})"
            return re.fullmatch(pattern, told.strip()) is not None
        return response.status_code != 416

    def _check(self, response: Response, start: int) -> None:
        if response.status_code != (206 if start else 200):
            raise MirrorFailed(f"answered {response.status_code} {response.reason or ''}".rstrip())
        announced = response.headers.get("Content-Length", "")
        if announced and announced != str(self._size - start):
            raise MirrorFailed(
                f"announces {announced[:20]} bytes where the published file has "
                f"{self._size - start}" + (" more" if start else "")
            )

    def _write(self, response: Response, start: int) -> None:
        got = start
        self._on_bytes(got)
        with self._part.open("ab" if start else "wb") as file:
            for piece in self._pieces(response, start):
                got += len(piece)
                if got > self._size:
                    self._part.unlink()  # what sends too much sent nothing to go on from
                    raise MirrorFailed(f"sends more than the published {self._size} bytes")
                file.write(piece)
                self._on_bytes(got)
        if got < self._size:
            raise self._broke_off(got)

    def _pieces(self, response: Response, got: int) -> Iterator[bytes]:
        """The body as it arrives. Raises MirrorFailed where it stops, stalls or trickles."""
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        # read() waits until a piece is full, so a trickle would give control back late;
        # urllib3 before 2.2 has nothing else.
        read = getattr(response.raw, "read1", response.raw.read)
        since, mark = time.monotonic(), got
        try:
            while piece := read(PIECE, decode_content=False):
                yield piece
                got += len(piece)
                waited = time.monotonic() - since
                if waited >= self._patience.window_s:
                    if got - mark < waited * self._patience.slowest_bytes_per_s:
                        raise MirrorFailed(f"sent {got - mark} bytes in {waited:.0f} s", Fault.GONE)
                    since, mark = time.monotonic(), got
        except ReadTimeoutError:
            reason = f"sent nothing for {self._patience.answer_s:g} s after {got} bytes"
            raise MirrorFailed(reason, Fault.BROKE_OFF) from None
        except HTTPError:
            raise self._broke_off(got) from None

    def _broke_off(self, got: int) -> MirrorFailed:
        return MirrorFailed(f"broke off after {got} of {self._size} bytes", Fault.BROKE_OFF)
