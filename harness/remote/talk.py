"""Talking to the agent of one job: commands, files, and patience with a connection that breaks."""

from __future__ import annotations

import hashlib
import io
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from harness.errors import MachineError
from harness.events import Note, OnEvent, Stopped
from harness.plan.data import file_digest
from harness.remote.address import Address
from harness.remote.ssh import Connection, Said, script
from harness.remote.state import PREPARING, JobState
from harness.remote.trouble import GoneError, LostConnectionError
from harness.units import human_seconds

PATIENCE_S = 900.0
"""How long a machine may be silent before this end gives up; the run there goes on."""

WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

NO_FOLDER, NO_PYTHON = 96, 97
_LOOK = f'[ -d "$1" ] || exit {NO_FOLDER}; command -v "$2" >/dev/null || exit {NO_PYTHON}'

T = TypeVar("T")


class Given(Exception):  # noqa: N818 - no error: the user has said so
    """The user has had enough of it."""


@dataclass
class Talk:
    """With one machine. `tell` gets what happens, `stopped` says that the user had enough.

    `state` is set once the job has a folder there; `patience_s` bounds how long it goes on
    without a word from the machine.
    """

    address: Address
    tell: OnEvent
    stopped: Stopped = lambda: False
    patience_s: float = PATIENCE_S
    state: JobState | None = None
    connection: Connection = field(init=False)
    _last: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.connection = Connection(self.address)

    @property
    def job(self) -> JobState:
        """The job, which has been begun."""
        assert self.state is not None
        return self.state

    def note(self, text: str) -> None:
        self.tell(Note(text))

    def command(self, name: str, *arguments: str) -> str:
        """The agent's command line, for the shell there."""
        folder = self.job.folder
        return shlex.join([self.job.python, f"{folder}/agent.py", name, folder, *arguments])

    def ask(self, name: str, *arguments: str) -> Any:
        """The agent's answer, after a lost connection asked again. Raises MachineError."""
        command = self.command(name, *arguments)
        return self.patiently(lambda: self._of_job(self.connection.run(command))).answer()

    def _of_job(self, said: Said) -> Said:
        if said.code:
            self.require_job()
        return self.checked(said)

    def require_job(self) -> None:
        """Raise GoneError where the job's folder is not there, MachineError for its Python."""
        job = self.job
        said = self.connection.run(script(_LOOK, job.folder, job.python))
        if said.code == NO_FOLDER:
            raise GoneError(f"{self.address}: the folder {job.folder} is no longer there")
        if said.code == NO_PYTHON:
            raise MachineError(
                f"{self.address}: the job's folder is there, and its Python {job.python} is not",
                f"put it back there, or take {job.folder}/results by hand and "
                f"harness attach --forget {job.job}",
            )

    def put(self, name: str, content: bytes | Path) -> None:
        """A file below the job's folder. Raises MachineError where the machine refuses it."""
        if isinstance(content, Path):
            with _read_clearly(content):
                size, digest = content.stat().st_size, file_digest(content, "sha256")
        else:
            size, digest = len(content), hashlib.sha256(content).hexdigest()
        command = self.command("put", name, str(size), digest)

        def once() -> None:
            if isinstance(content, bytes):
                self._of_job(self.connection.run(command, content))
                return
            with _read_clearly(content):
                file = content.open("rb")
            with file:
                self._of_job(self.connection.run(command, self.watched(file)))

        self.go_on()
        self.patiently(once)

    def checked(self, said: Said) -> Said:
        """What was said by a command that ended well. Raises MachineError for any other."""
        if said.code:
            raise refused(self.address, said)
        return said

    def patiently(self, step: Callable[[], T]) -> T:
        """Do `step`, again after a lost connection. Raises what it raises otherwise."""
        tries, lost_at = 0, None
        while True:
            try:
                return step()
            except LostConnectionError as error:
                self._check_wanted()
                now = time.monotonic()
                if lost_at is None or self._last > lost_at:
                    tries, lost_at = 0, now
                    self.note(f"lost the connection ({error.message}); trying again")
                silent = now - lost_at
                if silent > self.patience_s:
                    raise self._still_there(error, silent) from error
                self._pause(WAITS_S[min(tries, len(WAITS_S) - 1)])
                tries += 1

    def heard(self) -> None:
        """The machine is there."""
        self._last = time.monotonic()

    def watched(self, file: IO[bytes]) -> IO[bytes]:
        """`file`, whose bytes on their way to or from the machine say that it is there."""
        return io.BufferedReader(_Watched(file, self.heard), 1 << 20)

    def go_on(self) -> None:
        """Raise Given where the user has had enough."""
        if self.stopped():
            raise Given

    def _check_wanted(self) -> None:
        if self.connection.is_cut:
            raise Given
        if self.state is None or self.state.stage == PREPARING:
            self.go_on()

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.connection.is_cut:
            time.sleep(0.1)

    def _still_there(self, error: MachineError, silent: float) -> MachineError:
        return MachineError(
            f"{error.message}, for {human_seconds(silent)}; what has begun there goes on",
            f"{error.next_step or 'look at the machine'}; then: harness attach {self.job.job}",
        )


class _Watched(io.RawIOBase):
    """Says with each piece but the first that the one before has gone its way."""

    def __init__(self, file: IO[bytes], heard: Callable[[], None]) -> None:
        self._file, self._heard, self._begun = file, heard, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        if piece and self._begun:
            self._heard()
        self._begun = True
        return len(piece)


@contextmanager
def _read_clearly(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror or error}") from error


def refused(address: Address, said: Said) -> MachineError:
    """What a command there ended with, as an error."""
    lines = [line.strip() for line in said.err.splitlines() if line.strip()]
    if "No space left on device" in said.err or "Disk quota exceeded" in said.err:
        return MachineError(
            f"the disk of {address} is full",
            "free some space there, or name a folder on another disk at the end of the address",
        )
    telling = [line for line in lines if line.lower().startswith("error")]
    line = (telling or lines or [f"exit code {said.code}"])[-1]
    step = (
        "pip there needs an index that it reaches; pip config on that machine names one"
        if "No matching distribution" in said.err or "Could not find a version" in said.err
        else ""
    )
    return MachineError(f"{address}: {line}", step)
