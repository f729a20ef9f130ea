"""What a machine has of what a job needs, and each shortage as one error."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from harness import __version__
from harness.errors import MachineError
from harness.remote import agent
from harness.remote.address import Address
from harness.remote.sources import agent_source
from harness.remote.ssh import Connection, script
from harness.units import human_bytes

SKEW_S = 5.0
"""Clocks that differ by more than this are told and noted."""

ENVIRONMENT_BYTES = 400 << 20
"""What the harness and its dependencies take (about 290 MB), and room for the results."""

NO_PYTHON = 97
_FIND_PYTHON = """
new='import sys; sys.exit(sys.version_info < (3, 10))'
for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10 "$2"; do
    [ -n "$python" ] && command -v "$python" >/dev/null 2>&1 || continue
    if "$python" -c "$new" </dev/null >/dev/null 2>&1; then
        exec "$python" - probe "$1"
    fi
done
command -v python3 >/dev/null 2>&1 || exit 97
exec python3 - probe "$1"
"""


@dataclass(frozen=True)
class Found:
    """A machine that can take a job.

    `python` runs the agent and becomes the harness's environment, `python3` is what the machine's
    own user gets under that name; `engine` is what starts containers, where anything does; `salt`
    says that the harness has been there before, and names the machine by a secret that it left.
    """

    python: str
    version: str
    python3: str
    place: str
    free: int
    engine: str | None
    salt: bool
    notes: tuple[str, ...]


def probe(connection: Connection, python: str | None) -> Found:
    """Ask the machine. Raises MachineError for what it lacks, or where it is not reached."""
    address = connection.address
    began = time.time()
    command = script(_FIND_PYTHON, address.folder or "", python or "")
    said = connection.run(command, agent_source())
    ended = time.time()
    if said.code == NO_PYTHON:
        raise MachineError(
            f"{address} has no python3",
            f"install Python {_least()} or later there, or name one with --python",
        )
    told = said.answer()
    if told is None:
        line = (said.err.strip() or said.out.decode("utf-8", "replace").strip()).splitlines()
        raise MachineError(
            f"{address} runs no command for us: {line[-1] if line else f'exit code {said.code}'}",
            "it needs a POSIX sh and Python; is the account one that may log in?",
        )
    return judge(address, told, _skew(told["time"], began, ended))


def _skew(there: float, began: float, ended: float) -> float:
    """Seconds by which the clock there is ahead, at least: it was read between the two moments."""
    return there - ended if there > ended else min(0.0, there - began)


def judge(address: Address, told: dict[str, Any], skew: float) -> Found:
    """What was `told`, as it matters. Raises MachineError for the first thing that is short."""
    version = ".".join(map(str, told["python"]))
    if tuple(told["python"]) < agent.LEAST:
        raise MachineError(
            f"{address} has Python {version}, and the harness needs {_least()} or later",
            f"install a newer one there (as python{_least()}, say), or name it with --python",
        )
    place = told["place"]
    if told["writable"]:
        raise MachineError(
            f"{address}: {place} cannot be written: {told['writable']}",
            "name a folder that can, at the end of the address: ssh://host/folder",
        )
    if not (told["venv"] or told["pip"]):
        raise MachineError(
            f"{address} has Python {version} without venv and pip",
            "apt-get install python3-venv there, or your system's package of that kind",
        )
    return Found(
        python=told["executable"],
        version=version,
        python3=told["python3"],
        place=place,
        free=told["free"],
        engine=told["engine"],
        salt=told["salt"],
        notes=_notes(told, skew),
    )


def _notes(told: dict[str, Any], skew: float) -> tuple[str, ...]:
    notes = []
    if abs(skew) > SKEW_S:
        how = "ahead of" if skew > 0 else "behind"
        notes.append(
            f"its clock is {abs(skew):.0f} s {how} this machine's: the times in its records are its"
        )
    other = told.get("other")
    if other is not None and other != __version__:
        notes.append(f"harness {other} is installed there; this run uses its own, {__version__}")
    return tuple(notes)


def require_room(address: Address, found: Found, bytes_needed: int) -> None:
    """Raise MachineError where the disk there has not so much free."""
    if found.free < bytes_needed:
        raise MachineError(
            f"{address} has {human_bytes(found.free)} free in {found.place}, and the job needs "
            f"{human_bytes(bytes_needed)}",
            "free some space there, or name a folder on another disk at the end of the address: "
            "ssh://host/folder",
        )


def _least() -> str:
    return ".".join(map(str, agent.LEAST))
