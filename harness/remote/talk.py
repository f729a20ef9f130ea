"""Talking to the agent of one job: commands, files, and patience with a connection that breaks."""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import MachineError
from harness.events import Note, OnEvent, Stopped
from harness.plan.data import file_digest
from harness.remote.address import Address
from harness.remote.ssh import Connection, Said
from harness.remote.state import PREPARING, JobState
from harness.remote.trouble import LostConnectionError
from harness.units import human_seconds

PATIENCE_S = 900.0
"""How long a machine may be silent before this end gives up; the run there goes on."""

WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

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
        return self.patiently(lambda: self.checked(self.connection.run(command))).answer()

    def put(self, name: str, content: bytes | Path) -> None:
        """A file below the job's folder. Raises MachineError where the machine refuses it."""
        if isinstance(content, Path):
            size, digest = content.stat().st_size, file_digest(content, "sha256")
        else:
            size, digest = len(content), hashlib.sha256(content).hexdigest()
        command = self.command("put", name, str(size), digest)

        def once() -> None:
            if isinstance(content, bytes):
                self.checked(self.connection.run(command, content))
                return
            with content.open("rb") as file:
                self.checked(self.connection.run(command, file))

        self.go_on()
        self.patiently(once)

    def checked(self, said: Said) -> Said:
        """What was said by a command that ended well. Raises MachineError for any other."""
        if said.code:
            raise refused(self.address, said)
        return said

    def patiently(self, step: Callable[[], T]) -> T:
        """Do `step`, again after a lost connection. Raises what it raises otherwise."""
        tries = 0
        self.heard()
        while True:
            try:
                return step()
            except LostConnectionError as error:
                self._check_wanted()
                silent = time.monotonic() - self._last
                if silent > self.patience_s:
                    raise self._still_there(error, silent) from error
                if silent < WAITS_S[0]:
                    tries = 0
                if tries == 0:
                    self.note(f"lost the connection ({error.message}); trying again")
                self._pause(WAITS_S[min(tries, len(WAITS_S) - 1)])
                tries += 1

    def heard(self) -> None:
        """The machine is there."""
        self._last = time.monotonic()

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
