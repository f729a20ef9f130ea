"""Machines that are reached by SSH: Debian's sshd on loopback addresses, each with its own home.

Each has its own host key, its own home folder and its own PATH, so that in files and programs they
are machines apart. A `Wire` is a port before one of them that a test can cut.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import ROOT, lacking, real_data
from tests.unit.runs import infer, train

SSHD = "/usr/sbin/sshd"

_WRAPPER = """#!/bin/sh
export HOME='{home}' PATH='{path}' TMPDIR='{home}/tmp'
unset XDG_CACHE_HOME XDG_STATE_HOME HARNESS_DATA_DIR DOCKER_HOST
{passed}
cd "$HOME"
echo 'Welcome to this machine!'
exec sh -c "$SSH_ORIGINAL_COMMAND"
"""
_SERVER = """
ListenAddress {host}:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
ForceCommand {folder}/wrapper
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
"""
_CLIENT = """
Host *
  IdentityFile {key}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {known}
  GlobalKnownHostsFile /dev/null
  HashKnownHosts no
"""


@dataclass
class Machine:
    """One sshd. `program` puts a program in front of its PATH."""

    folder: Path
    host: str
    port: int
    server: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"ssh://{self.host}:{self.port}"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def place(self) -> Path:
        return self.home / ".cache" / "dl-feasibility-harness"

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def left(self) -> list[str]:
        """What jobs have left in its home."""
        jobs = self.place / "jobs"
        return sorted(path.name for path in jobs.iterdir()) if jobs.is_dir() else []

    def share_environments(self, folder: Path) -> None:
        """What one job has installed, the next one finds there, whatever the machine."""
        folder.mkdir(exist_ok=True)
        self.place.mkdir(parents=True)
        (self.place / "envs").symlink_to(folder)

    def job_folder(self) -> Path:
        """Of its one job, as soon as there is one."""
        return until(lambda: next(iter((self.place / "jobs").glob("*")), None))


@dataclass
class Machines:
    """All of a test session's; `env` is what makes the harness's ssh know them."""

    folder: Path
    env: dict[str, str]
    there: list[Machine] = field(default_factory=list)

    @property
    def known(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def state(self) -> Path:
        """Where this end's harness remembers its jobs."""
        return self.folder / "state"

    def start(
        self, name: str, host: str, path: str | None = None, settings: Mapping[str, str] = {}
    ) -> Machine:
        """A machine with nothing but what `path` (default: this process's) holds.

        `settings` are variables that its user has there.
        """
        folder = self.folder / name
        for part in ("bin", "home/tmp"):
            (folder / part).mkdir(parents=True)
        keygen(folder / "host_key")
        shutil.copy(self.folder / "user_key.pub", folder / "authorized_keys")
        port = free_port(host)
        shown = os.environ["PATH"] if path is None else path
        passed = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "REQUESTS"))}
        passed |= settings
        wrapper = folder / "wrapper"
        wrapper.write_text(
            _WRAPPER.format(
                home=folder / "home",
                path=f"{folder / 'bin'}:{shown}",
                passed="\n".join(f"export {name}='{value}'" for name, value in passed.items()),
            )
        )
        wrapper.chmod(0o755)
        config = folder / "sshd_config"
        config.write_text(_SERVER.format(folder=folder, host=host, port=port))
        with (folder / "sshd.log").open("wb") as log:
            server = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stdout=log, stderr=log)
        machine = Machine(folder, host, port, server)
        self.there.append(machine)
        self.trust(machine, machine.port)
        until(lambda: answers(host, port))
        return machine

    def behind(self, name: str, machine: Machine, jump: Machine) -> str:
        """An address that leads to a machine through another one, by the user's configuration."""
        with (self.folder / "ssh_config").open("a") as file:
            file.write(
                f"Host {name}\n  HostName {machine.host}\n  Port {machine.port}\n"
                f"  ProxyJump {jump.host}:{jump.port}\n"
            )
        return f"ssh://{name}"

    def trust(self, machine: Machine, port: int) -> None:
        key = (machine.folder / "host_key.pub").read_text().rsplit(" ", 1)[0]
        with self.known.open("a") as file:
            file.write(f"[{machine.host}]:{port} {key}\n")


@contextlib.contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    """A folder with the user's key and ssh configuration; ends every sshd that was started."""
    if not os.access(SSHD, os.X_OK) or shutil.which("ssh") is None:
        lacking("sshd and ssh are needed: apt-get install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it gives up its rights
    keygen(folder / "user_key")
    config = folder / "ssh_config"
    config.write_text(_CLIENT.format(key=folder / "user_key", known=folder / "known_hosts"))
    found = Machines(folder, {"HARNESS_SSH_CONFIG": str(config)})
    found.env["XDG_STATE_HOME"] = str(found.state)
    try:
        yield found
    finally:
        for machine in found.there:
            machine.server.terminate()
            machine.server.wait()


class Wire:
    """A port on a machine's address that leads to its sshd, until it is cut."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._listener = socket.create_server((machine.host, 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self.whole = True
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"ssh://{self.machine.host}:{self.port}"

    def cut(self) -> None:
        """End what is open; what comes is closed at once until `mend`."""
        self.whole = False
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.whole = True

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if not self.whole:
                near.close()
                continue
            far = socket.create_connection((self.machine.host, self.machine.port))
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def keygen(path: Path) -> None:
    line = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(line, check=True)


def free_port(host: str) -> int:
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])


def answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def until(look, seconds: float = 300.0):  # type: ignore[no-untyped-def]
    """What `look` finds, as soon as it finds something; fails after so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail("it never came to that")


def stand_in(path: Path, held: bool = False) -> Path:
    """An interpreter for `--python` that says it holds TensorFlow and is soon done with a case.

    `held` lets no case but the run's first one end before `release`.
    """
    if held:
        path.with_suffix(".hold").touch()
    path.write_text(_STAND_IN.format(python=sys.executable, path=str(path)))
    path.with_suffix(".json").write_text(json.dumps({"train": train(), "infer": infer()}))
    path.chmod(0o755)
    return path


def release(held: Path) -> None:
    """Let the cases end that the stand-in `held` measures."""
    held.with_suffix(".hold").unlink()


_STAND_IN = """#!{python}
import json, os, sys, time
if sys.argv[1] == "-c":
    told = {{"executable": {path!r}, "version": [3, 11, 0], "modules": ["numpy", "tensorflow"]}}
    print(json.dumps({{**told, "versions": {{"tensorflow": "2.17.0"}}}}))
    sys.exit()
out = sys.argv[sys.argv.index("--out") + 1]  # RUN/cases/CASE/r1/a1
here = os.path.splitext({path!r})[0]
with open(here + ".json") as file:
    timing = json.load(file)
def tell(**event):
    print(":::harness " + json.dumps(event), flush=True)
tell(event="phase", phase="train")
for step in range(10):
    tell(event="progress", phase="train", epoch=1, epochs=1, step=step, steps=10, images_per_s=9.0)
    time.sleep(0.01)
later = os.path.exists(os.path.join(out, *[os.pardir] * 4, "records.jsonl"))
late = time.monotonic() + 250
while later and os.path.exists(here + ".hold") and time.monotonic() < late:
    time.sleep(0.05)
for phase, content in timing.items():
    with open(os.path.join(out, "timing-%s.json" % phase), "w") as file:
        json.dump(content, file)
"""


@dataclass
class Going:
    """A harness that a test has started and may end."""

    process: subprocess.Popen[str]
    log: Path

    def said(self, text: str) -> bool:
        return text in self.log.read_text()

    def comes(self, text: str, seconds: float = 300.0) -> None:
        """Wait until it says so; fails where it ends or so much time passes without it."""
        deadline = time.monotonic() + seconds
        while not self.said(text):
            ended = self.process.poll() is not None or time.monotonic() > deadline
            if ended and not self.said(text):
                pytest.fail(f"it never said {text!r}:\n{self.log.read_text()}")
            time.sleep(0.05)

    def wait(self) -> int:
        return self.process.wait(timeout=300)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)


def begin(log: Path, *arguments: str | Path, env: dict[str, str]) -> Going:
    """`harness` in the background; both of its outputs go to the file `log`."""
    data = real_data()
    whole = {**os.environ, **env, **({"HARNESS_DATA_DIR": str(data)} if data else {})}
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=whole,
            text=True,
        )
    _BEGUN.append(Going(process, log))
    return _BEGUN[-1]


_BEGUN: list[Going] = []


def end_all() -> None:
    """Kill whatever `begin` has started and is still there."""
    for going in _BEGUN:
        if going.process.poll() is None:
            going.kill()
    _BEGUN.clear()
