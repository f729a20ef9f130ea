"""One job on one machine: got ready, started, followed, brought back, cleaned up.

Every step can be asked for again: what a lost connection leaves open, the next one closes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from harness import __version__
from harness.errors import MachineError
from harness.events import Note, OnEvent, Stopped
from harness.host.salted import salted_hash
from harness.remote import state as states
from harness.remote.address import Address, parse_address
from harness.remote.agent import OURS
from harness.remote.bringing import Incoming, unpack
from harness.remote.ending import Ended, judge
from harness.remote.event_lines import decode
from harness.remote.options import RunOptions
from harness.remote.probing import ENVIRONMENT_BYTES, Found, probe, require_room
from harness.remote.sources import agent_source
from harness.remote.ssh import Connection, Said, script, size_and_digest
from harness.remote.state import JobState
from harness.remote.supplies import Supply
from harness.remote.trouble import LostConnectionError
from harness.remote.wheel import build_wheel
from harness.results.files import write_atomic
from harness.results.run import now
from harness.units import human_bytes, human_seconds

PATIENCE_S = 900.0
"""How long a machine may be silent before this end gives up; the run there goes on."""

WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
LOG_BYTES = 1 << 20

_MAKE = 'umask 077; mkdir -p "$1" && cat >"$1/agent.py" && : >"$1/$2"'

T = TypeVar("T")


class Given(Exception):  # noqa: N818 - no error: the user has said so
    """The user stopped it before it had begun."""


@dataclass(frozen=True)
class Order:
    """What is to be measured: the matrix's text, the options, the data that is here."""

    matrix: str
    name: str
    options: RunOptions
    supplies: Sequence[Supply]
    results: Path
    keep: bool


@dataclass
class Job:
    """One job as this end sees it. `tell` gets its events, `stopped` says that the user had enough.

    `patience_s` bounds how long it goes on without a word from the machine.
    """

    address: Address
    label: str
    tell: OnEvent
    stopped: Stopped = lambda: False
    patience_s: float = PATIENCE_S
    state: JobState | None = None
    connection: Connection = field(init=False)
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.connection = Connection(self.address)

    @classmethod
    def of(cls, state: JobState, tell: OnEvent, stopped: Stopped) -> Job:
        """A job that was begun before."""
        return cls(parse_address(state.address), state.label, tell, stopped, state=state)

    def begin(self, order: Order) -> Ended:
        """From the first look to the run's folder here. Raises HarnessError."""
        found = probe(self.connection, order.options.python)
        for note in found.notes:
            self._note(note)
        supplies = self._missing(found, order.supplies)
        require_room(
            self.address, found, ENVIRONMENT_BYTES + sum(supply.size for supply in supplies)
        )
        self._go_on()
        self._create(found, order)
        assert self.state is not None
        with states.followed(self.state), self._stoppable():
            try:
                self._install(found, order)
                self._send(found, order, supplies)
                self._start(found, order)
            except BaseException:
                self._give_up()
                raise
            return self._finish()

    def take_up(self) -> Ended:
        """Go on with a job that was begun before. Raises HarnessError."""
        assert self.state is not None
        with states.followed(self.state), self._stoppable():
            how = self._patiently(lambda: self._agent("state"))
            if self.state.stage == states.PREPARING and how["state"] in ("waiting", "gone"):
                self._give_up()
                raise MachineError(
                    f"the job {self.state.job} had not begun to measure; it is cleared away",
                    "start it again: harness matrix FILE --on …",
                )
            return self._finish()

    # getting ready

    def _missing(self, found: Found, supplies: Sequence[Supply]) -> list[Supply]:
        if not supplies:
            return []
        names = [supply.name for supply in supplies]
        command = shlex.join([found.python, "-", "sizes", "-", *names])
        there = self._checked(self.connection.run(command, agent_source())).answer()
        return [supply for supply in supplies if there[supply.name] != supply.size]

    def _create(self, found: Found, order: Order) -> None:
        job = states.new_job_id()
        self.state = JobState(
            job=job,
            address=str(self.address),
            label=self.label,
            folder=str(PurePosixPath(found.place) / "jobs" / job),
            python=found.python,
            results=str(order.results.absolute()),
            matrix=order.name,
            started_at=now(),
            harness_version=__version__,
            keep=order.keep,
            notes=found.notes,
        )
        states.save(self.state)

    def _install(self, found: Found, order: Order) -> None:
        name, wheel = build_wheel()
        key = hashlib.sha256(wheel + found.python.encode() + found.version.encode()).hexdigest()
        self._note(f"Python {found.version} there; making an environment for harness {__version__}")
        assert self.state is not None
        make = script(_MAKE, self.state.folder, OURS)
        self._checked(self._patiently(lambda: self.connection.run(make, agent_source())))
        self._put(name, wheel)
        self._go_on()
        keep = ("keep",) if order.keep else ()
        made = self._patiently(lambda: self._agent("install", key[:16], name, *keep))
        self._go_on()
        if not made["new"]:
            self._note("the environment was there already")

    def _send(self, found: Found, order: Order, supplies: Sequence[Supply]) -> None:
        if supplies:
            total = human_bytes(sum(supply.size for supply in supplies))
            self._note(f"copying {len(supplies)} data files, {total}")
        for supply in supplies:
            self._go_on()
            self._put(f"data/{supply.name}", supply.path)
        if not found.salt:  # the same machine gets the same name, and no secret is left on it
            self._put("state/harness/salt", bytes.fromhex(salted_hash(str(self.address))))
        self._put("data/.keep", b"")
        self._put("matrix.yaml", order.matrix.encode())

    def _start(self, found: Found, order: Order) -> None:
        assert self.state is not None
        options = order.options.for_machine(found.engine, found.python3)
        if options != order.options:
            why = "" if order.options.runtime == "local" else "no container engine answers there: "
            self._note(f"{why}the cases run in its own {options.python}")
        words = ["matrix", "matrix.yaml", "--results=results", "--events=events.jsonl"]
        wanted = {"words": [*words, "--data-dir=data", *options.words()]}
        self._put("job.json", json.dumps(wanted).encode())
        self._go_on()
        self._patiently(lambda: self._agent("start"))
        self._at(states.RUNNING)
        self._note(f"measuring, as job {self.state.job}")

    # the run, and after it

    def _finish(self) -> Ended:
        assert self.state is not None
        if self.state.stage != states.BROUGHT:
            self._at(states.RUNNING)
        how = self._follow()
        self._done.set()
        log = self._patiently(lambda: self._agent("log", str(LOG_BYTES)))["log"]
        folder = self._patiently(self._bring)
        if folder is not None:
            self._keep_beside(folder, log)
        self._at(states.BROUGHT)
        ended = judge(self.label, how, log, folder)
        self._clean()
        return ended

    def _follow(self) -> dict[str, Any]:
        at = 0

        def once() -> dict[str, Any]:
            nonlocal at
            with self.connection.stream(self._command("follow", str(at))) as stream:
                for answer in stream.answers():
                    self._heard()
                    if "line" in answer:
                        at = answer["at"]
                        event = decode(answer["line"])
                        if event is not None:
                            self.tell(event)
                    elif "state" in answer:
                        return dict(answer)
                stream.close()
            raise LostConnectionError(f"{self.address} said no more")

        return self._patiently(once)

    @contextlib.contextmanager
    def _stoppable(self) -> Iterator[None]:
        threading.Thread(target=self._stop_when_asked, daemon=True).start()
        try:
            yield
        finally:
            self._done.set()

    def _stop_when_asked(self) -> None:
        while not self._done.wait(0.2):
            if self.stopped():
                if self.state is None or self.state.stage == states.PREPARING:
                    self.connection.cut()
                    return
                self._note("asking the run there to end")
                with contextlib.suppress(MachineError):
                    self._patiently(lambda: self._agent("stop"))
                return

    def _bring(self) -> Path | None:
        assert self.state is not None
        with (
            Incoming(Path(self.state.results), self.state.job) as incoming,
            self.connection.stream(self._command("bring")) as stream,
        ):
            try:
                if next(stream.answers(), None) == "tar":
                    for name in unpack(stream.out, incoming.folder):
                        self._note(f"left out of what it sent, for it is no plain file: {name}")
                    while stream.out.read(1 << 16):
                        pass
            except tarfile.TarError as error:
                raise LostConnectionError(f"{self.address}: the results break off") from error
            stream.close()
            return incoming.settle()

    def _keep_beside(self, folder: Path, log: str) -> None:
        """The run's own words, and what was noted of the machine."""
        assert self.state is not None
        write_atomic(folder / "remote.log", log)
        told = {"job": self.state.job, "harness": self.state.harness_version}
        notes = {**told, "notes": list(self.state.notes)}
        write_atomic(folder / "remote.json", json.dumps(notes, indent=1) + "\n")

    def _clean(self) -> None:
        assert self.state is not None
        if self.state.keep:
            self._note(f"kept there: {self.state.folder}")
            states.forget(self.state)
            return
        try:
            self._patiently(lambda: self._agent("clean"))
        except MachineError as error:
            self._note(
                f"{self.state.folder} is left there ({error.message}); "
                f"harness attach {self.state.job} removes it"
            )
            return
        states.forget(self.state)

    def _give_up(self) -> None:
        """Nothing was measured: leave nothing behind, as far as the machine lets us."""
        assert self.state is not None
        own, self.connection = self.connection, Connection(self.address)
        try:
            said = self.connection.run(self._command("clean"))
            if said.code == 0 or "No such file" in said.err:
                states.forget(self.state)
        except MachineError:
            pass  # its state stays, and so does what attach can do
        finally:
            self.connection = own

    # talking

    def _command(self, name: str, *arguments: str) -> str:
        assert self.state is not None
        folder = self.state.folder
        line = [self.state.python, f"{folder}/agent.py", name, folder, *arguments]
        return shlex.join(line)

    def _agent(self, name: str, *arguments: str) -> Any:
        """Its answer. Raises MachineError where it has none."""
        return self._checked(self.connection.run(self._command(name, *arguments))).answer()

    def _checked(self, said: Said) -> Said:
        if said.code:
            raise _refused(self.address, said)
        return said

    def _put(self, name: str, content: bytes | Path) -> None:
        if isinstance(content, Path):
            size, digest = size_and_digest(content)
        else:
            size, digest = len(content), hashlib.sha256(content).hexdigest()
        command = self._command("put", name, str(size), digest)

        def once() -> None:
            if isinstance(content, bytes):
                self._checked(self.connection.run(command, content))
                return
            with content.open("rb") as file:
                self._checked(self.connection.run(command, file))

        self._patiently(once)

    def _patiently(self, step: Callable[[], T]) -> T:
        """Do `step`, again after a lost connection. Raises what it raises otherwise."""
        tries = 0
        self._heard()
        while True:
            try:
                return step()
            except LostConnectionError as error:
                self._go_on_or_detach()
                silent = time.monotonic() - self._last
                if silent > self.patience_s:
                    raise self._still_there(error, silent) from error
                if silent < WAITS_S[0]:
                    tries = 0
                if tries == 0:
                    self._note(f"lost the connection ({error.message}); trying again")
                self._pause(WAITS_S[min(tries, len(WAITS_S) - 1)])
                tries += 1

    _last: float = 0.0

    def _heard(self) -> None:
        self._last = time.monotonic()

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.connection.is_cut:
            time.sleep(0.1)

    def _go_on(self) -> None:
        if self.stopped():
            raise Given

    def _go_on_or_detach(self) -> None:
        if self.connection.is_cut:
            raise Given
        if self.state is None or self.state.stage == states.PREPARING:
            self._go_on()

    def _still_there(self, error: MachineError, silent: float) -> MachineError:
        assert self.state is not None
        return MachineError(
            f"{error.message}, for {human_seconds(silent)}; the run there goes on",
            f"{error.next_step or 'look at the machine'}; then: harness attach {self.state.job}",
        )

    def _at(self, stage: str) -> None:
        assert self.state is not None
        if self.state.stage != stage:
            self.state = self.state.model_copy(update={"stage": stage})
            states.save(self.state)

    def _note(self, text: str) -> None:
        self.tell(Note(text))


def _refused(address: Address, said: Said) -> MachineError:
    """What a command there ended with."""
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
