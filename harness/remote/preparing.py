"""A job got ready on its machine: its folder, its environment, its data, its start."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness import __version__
from harness.catalog.images import SETTING as IMAGES_SETTING
from harness.host.salted import salted_hash
from harness.plan.data import WEIGHTS_SETTING
from harness.remote import state as states
from harness.remote.agent import OURS
from harness.remote.options import RunOptions
from harness.remote.probing import ENVIRONMENT_BYTES, Found, probe, require_room
from harness.remote.sources import agent_source
from harness.remote.ssh import script
from harness.remote.state import JobState
from harness.remote.supplies import DATA, WEIGHTS, Supply
from harness.remote.talk import Talk
from harness.remote.wheel import build_wheel
from harness.results.run import now
from harness.units import human_bytes

_IMAGES = "images.toml"
_MAKE = 'umask 077; mkdir -p "$1" && cat >"$1/agent.py" && : >"$1/$2"'


@dataclass(frozen=True)
class Order:
    """What is to be measured: the matrix's text, the options, the data that is here.

    `images` is the user's own image catalog.
    """

    matrix: str
    name: str
    options: RunOptions
    supplies: Sequence[Supply]
    results: Path
    keep: bool
    images: str | None = None


@dataclass(frozen=True)
class Site:
    """A machine that can take the job, and the data that it lacks."""

    found: Found
    supplies: Sequence[Supply]


def look(talk: Talk, order: Order) -> Site:
    """Ask the machine what it has; writes nothing there. Raises MachineError for a shortage."""
    found = probe(talk.connection, order.options.python)
    for note in found.notes:
        talk.note(note)
    supplies = _missing(talk, found, order.supplies)
    needed = ENVIRONMENT_BYTES + sum(supply.size for supply in supplies)
    require_room(talk.address, found, needed)
    talk.go_on()
    return Site(found, supplies)


def _missing(talk: Talk, found: Found, supplies: Sequence[Supply]) -> list[Supply]:
    if not supplies:
        return []
    names = [supply.name for supply in supplies]
    command = shlex.join([found.python, "-", "sizes", "-", *names])
    there = talk.checked(talk.connection.run(command, agent_source())).answer()
    return lacking(supplies, there)


def lacking(supplies: Sequence[Supply], there: Mapping[str, int | None]) -> list[Supply]:
    """All of each folder of which any file is not `there` in its size: one folder has them all."""
    short = {_folder(supply) for supply in supplies if there[supply.name] != supply.size}
    return [supply for supply in supplies if _folder(supply) in short]


def _folder(supply: Supply) -> PurePosixPath:
    return PurePosixPath(supply.name).parent


def _are_weights(supply: Supply) -> bool:
    return supply.name.startswith(f"{WEIGHTS}/")


def new_state(talk: Talk, label: str, order: Order, site: Site) -> JobState:
    """The job as it is written down here before anything is made there."""
    job = states.new_job_id()
    return JobState(
        job=job,
        address=str(talk.address),
        label=label,
        folder=str(PurePosixPath(site.found.place) / "jobs" / job),
        python=site.found.python,
        results=str(order.results.absolute()),
        matrix=order.name,
        started_at=now(),
        harness_version=__version__,
        keep=order.keep,
        notes=site.found.notes,
    )


def make_ready(talk: Talk, order: Order, site: Site) -> None:
    """Everything up to the run's start there. Raises MachineError, or Given."""
    _install(talk, order, site.found)
    _send(talk, order, site)
    _start(talk, order, site)


def _install(talk: Talk, order: Order, found: Found) -> None:
    name, wheel = build_wheel()
    key = hashlib.sha256(wheel + f"{found.python} {found.version}".encode()).hexdigest()[:16]
    talk.note(f"Python {found.version} there; making an environment for harness {__version__}")
    make = script(_MAKE, talk.job.folder, OURS)
    talk.patiently(lambda: talk.checked(talk.connection.run(make, agent_source())))
    talk.put(name, wheel)
    made = talk.ask("install", key, name, *(("keep",) if order.keep else ()))
    if not made["new"]:
        talk.note("the environment was there already")


def _send(talk: Talk, order: Order, site: Site) -> None:
    if site.supplies:
        total = human_bytes(sum(supply.size for supply in site.supplies))
        talk.note(f"copying {len(site.supplies)} data files, {total}")
    for supply in site.supplies:
        talk.put(supply.name, supply.path)
    if not site.found.salt:  # the same machine gets the same name, and no secret is left on it
        talk.put("state/harness/salt", bytes.fromhex(salted_hash(str(talk.address))))
    talk.put(f"{DATA}/.keep", b"")
    talk.put("matrix.yaml", order.matrix.encode())
    if order.images is not None:
        talk.put(_IMAGES, order.images.encode())


def _start(talk: Talk, order: Order, site: Site) -> None:
    options = order.options.for_machine(site.found.engine, site.found.python3)
    if options != order.options:
        why = "" if order.options.runtime == "local" else "no container engine answers there: "
        talk.note(f"{why}the cases run in its own {options.python}")
    words = ["matrix", "matrix.yaml", "--results=results", "--events=events.jsonl"]
    settings = {}  # of the harness there, each a path below the job's folder
    if order.images is not None:
        settings[IMAGES_SETTING] = _IMAGES
    if any(map(_are_weights, site.supplies)):
        settings[WEIGHTS_SETTING] = WEIGHTS
    wanted = {"words": [*words, f"--data-dir={DATA}", *options.words()], "settings": settings}
    talk.put("job.json", json.dumps(wanted).encode())
    talk.ask("start")
