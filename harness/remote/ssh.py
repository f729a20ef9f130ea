"""Commands on a machine through the system's OpenSSH client: the user's own configuration and
agent, never a prompt."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from harness.errors import MachineError
from harness.remote.address import Address
from harness.remote.agent import MARK
from harness.remote.trouble import SSH_FAILED, BrokeOffError, explain

CONFIG_SETTING = "HARNESS_SSH_CONFIG"
"""Names another file than ~/.ssh/config."""

CONNECT_S, ALIVE_S, MISSED = 20, 10, 3
"""A connection that has been silent for ALIVE_S x MISSED seconds is lost."""

_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": str(CONNECT_S),
    "ServerAliveInterval": str(ALIVE_S),
    "ServerAliveCountMax": str(MISSED),
    "ControlMaster": "no",  # a master that is there is used; none is left behind
    "ClearAllForwardings": "yes",
    "RequestTTY": "no",
}


@dataclass
class Connection:
    """One machine. Each command is a connection of its own; `cut` ends those that are open."""

    address: Address
    _open: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cut: bool = False

    def line(self, command: str) -> list[str]:
        """ssh's command line for the shell command `command` there."""
        config = os.environ.get(CONFIG_SETTING)
        named = ["-F", config] if config else []
        options = [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
        return [_program(), *named, "-T", *options, *self.address.arguments(), command]

    @contextmanager
    def opened(self, command: str, stdin: int) -> Iterator[subprocess.Popen[bytes]]:
        """A running command. It does not get this terminal's Ctrl-C, which is for the harness."""
        process = subprocess.Popen(
            self.line(command),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with self._lock:
            self._open.add(process)
            if self._cut:
                process.kill()
        try:
            yield process
        finally:
            with self._lock:
                self._open.discard(process)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    @property
    def is_cut(self) -> bool:
        return self._cut

    def cut(self) -> None:
        """End every command that is open, and those to come."""
        with self._lock:
            self._cut = True
            for process in self._open:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()

    def run(self, command: str, stdin: IO[bytes] | bytes = b"") -> Said:
        """Run `command` to its end. Raises MachineError where ssh itself failed."""
        with self.opened(command, subprocess.PIPE) as process:
            out, err = _fed(process, stdin)
            code = process.wait()
        text = err.decode("utf-8", "replace")
        if code == SSH_FAILED or code < 0:
            raise explain(self.address, text)
        return Said(code, out, text)

    @contextmanager
    def stream(self, command: str) -> Iterator[Stream]:
        """A command whose output is read while it runs."""
        with (
            self.opened(command, subprocess.DEVNULL) as process,
            _collected(process.stderr) as errors,
        ):
            assert process.stdout is not None
            yield Stream(self.address, process, process.stdout, errors)


@dataclass(frozen=True)
class Said:
    """How a command ended there, and what it said."""

    code: int
    out: bytes
    err: str

    def answer(self) -> Any:
        """What the agent answered last; None where it answered nothing."""
        for line in reversed(self.out.decode("utf-8", "replace").splitlines()):
            if line.startswith(MARK):
                return json.loads(line[len(MARK) :])
        return None


@dataclass(frozen=True)
class Stream:
    address: Address
    process: subprocess.Popen[bytes]
    out: IO[bytes]
    errors: _Collected

    def answers(self) -> Iterator[Any]:
        """What the agent says, line by line, until the connection ends."""
        for line in self.out:
            if line.startswith(MARK.encode()) and line.endswith(b"\n"):
                yield json.loads(line[len(MARK) :])

    def close(self) -> None:
        """Wait for its end. Raises LostConnectionError where it did not end well."""
        code = self.process.wait()
        text = self.errors.whole().decode("utf-8", "replace")
        if code == SSH_FAILED or code < 0:
            raise explain(self.address, text)
        if code:
            raise BrokeOffError(f"{self.address}: {text.strip() or f'exit code {code}'}")


def script(text: str, *arguments: str) -> str:
    """A command that runs the POSIX shell script `text` there with `arguments`."""
    return shlex.join(["sh", "-c", text, "harness", *arguments])


def _program() -> str:
    program = shutil.which("ssh")
    if program is None:
        raise MachineError(
            "--on needs OpenSSH's client, and there is no ssh here",
            "apt-get install openssh-client, or your system's package of that kind",
        )
    return program


def _fed(process: subprocess.Popen[bytes], stdin: IO[bytes] | bytes) -> tuple[bytes, bytes]:
    if isinstance(stdin, bytes):
        return process.communicate(stdin)
    assert process.stdin is not None
    assert process.stdout is not None
    with _collected(process.stdout) as out, _collected(process.stderr) as err:
        with contextlib.suppress(BrokenPipeError):  # its exit code says why
            shutil.copyfileobj(stdin, process.stdin, 1 << 20)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
    return out.whole(), err.whole()


class _Collected:
    """What comes out of `stream`, read by a thread."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._pieces: list[bytes] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._pieces.extend(iter(lambda: self._stream.read(1 << 16), b""))

    def whole(self) -> bytes:
        """All of it, once the process has ended."""
        self._thread.join(timeout=5)
        return b"".join(self._pieces)


@contextmanager
def _collected(stream: IO[bytes] | None) -> Iterator[_Collected]:
    assert stream is not None
    collected = _Collected(stream)
    try:
        yield collected
    finally:
        collected.whole()
