"""One job on one machine: got ready, started, followed, brought back, cleaned up.

Every step can be asked for again: what a lost connection leaves open, the next one closes.
"""

from __future__ import annotations

import contextlib
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, MachineError
from harness.events import OnEvent, Stopped
from harness.remote import state as states
from harness.remote.address import Address, parse_address
from harness.remote.bringing import Incoming, unpack
from harness.remote.clearing import clear, clear_unless_begun
from harness.remote.ending import Ended, judge
from harness.remote.event_lines import decode
from harness.remote.mirror import Mirror
from harness.remote.preparing import Order, look, make_ready, new_state
from harness.remote.ssh import Connection, Stream
from harness.remote.state import JobState
from harness.remote.talk import Given, Talk
from harness.remote.trouble import BrokeOffError, GoneError, LostConnectionError
from harness.results.files import write_atomic

LOG_BYTES = 1 << 20
_BESIDE = "remote.json"
_AGAIN = "start it again: harness matrix FILE --on …"


class Job:
    """One job as this end sees it. `tell` gets its events, `stopped` says the user had enough."""

    def __init__(
        self, address: Address, label: str, tell: OnEvent, stopped: Stopped = lambda: False
    ) -> None:
        self.label = label
        self._talk = Talk(address, tell, stopped)
        self._done = threading.Event()
        self._left = False
        self._turn = threading.Lock()  # between the start there and the user's wish to stop

    @classmethod
    def of(cls, state: JobState, tell: OnEvent, stopped: Stopped) -> Job:
        """A job that was begun before."""
        job = cls(parse_address(state.address), state.label, tell, stopped)
        job._talk.state = state
        return job

    @property
    def address(self) -> Address:
        return self._talk.address

    @property
    def state(self) -> JobState | None:
        """None as long as nothing has been made there."""
        return self._talk.state

    @property
    def arrived(self) -> Path | None:
        """The run's folder here as far as it has arrived."""
        state = self.state
        return None if state is None else _mirror(state).folder

    def leave(self) -> None:
        """End this end's part; what runs there goes on."""
        self._left = True
        self._talk.connection.cut()

    def begin(self, order: Order) -> Ended:
        """From the first look to the run's folder here. Raises HarnessError, or Given."""
        talk = self._talk
        site = look(talk, order)
        talk.state = new_state(talk, self.label, order, site)
        states.save(talk.state)
        with self._held():
            try:
                make_ready(talk, order, site)
            except (HarnessError, Given):
                if clear_unless_begun(talk):
                    raise
            except BaseException:
                clear_unless_begun(talk)
                raise
            self._running()
            talk.note(f"measuring, as job {talk.job.job}")
            return self._finish()

    def take_up(self) -> Ended:
        """Go on with a job that was begun before. Raises HarnessError."""
        talk = self._talk
        with self._held():
            unbegun = self._look_again() == "waiting" and talk.job.stage == states.PREPARING
            if unbegun and clear_unless_begun(talk):
                raise MachineError(
                    f"the job {talk.job.job} had not begun to measure: there is nothing to bring",
                    _AGAIN,
                )
            self._running()
            return self._finish()

    def _look_again(self) -> str:
        talk = self._talk
        try:
            how = str(talk.ask("state")["state"])
        except MachineError:
            if talk.job.stage == states.PREPARING:
                clear_unless_begun(talk)  # its making may have broken off
                if not states.is_open(talk.job):
                    raise GoneError(f"{talk.job.folder} is no longer there") from None
            raise
        if how == "gone":
            raise GoneError(f"{talk.job.folder} is no longer there")
        return how

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """The job is this process's, and the user is heard. What ends it early tells what next."""
        talk = self._talk
        with states.followed(talk.job), self._stoppable():
            try:
                yield
            except GoneError as error:
                states.forget(talk.job)
                had = "what had arrived is here" if self.arrived else "there is nothing to bring"
                raise MachineError(
                    f"the job {talk.job.job} is no longer there: {had}", _AGAIN
                ) from error
            except MachineError as error:
                if "harness attach" in error.next_step or not states.is_open(talk.job):
                    raise
                steps = filter(None, (error.next_step, self._how_to_go_on()))
                raise MachineError(error.message, "; ".join(steps)) from error
            except Given:
                if states.is_open(talk.job) and not self._left:  # then the job is told anyway
                    talk.note(self._how_to_go_on())
                raise

    def _how_to_go_on(self) -> str:
        job = self._talk.job
        if job.stage == states.PREPARING:
            there = "it may have begun there"
        else:
            there = "what it left is there" if self._done.is_set() else "the run goes on there"
        return f"{there}: harness attach {job.job}"

    def _running(self) -> None:
        """It has begun there: from here on it is asked to stop, no longer cut off."""
        talk = self._talk
        with self._turn:
            self._at(states.RUNNING)
            was_cut = talk.connection.is_cut
        if was_cut and not self._left:
            talk.connection = Connection(talk.address)
            if self._left:  # meanwhile
                talk.connection.cut()
            self._ask_to_stop()

    def _finish(self) -> Ended:
        talk = self._talk
        how = self._follow()
        self._done.set()
        if how["state"] == "gone":
            raise GoneError(f"{talk.job.folder} is no longer there")
        log = talk.ask("log", str(LOG_BYTES))["log"]
        folder = talk.patiently(self._bring)
        if folder is not None:
            self._goes_into(folder.name)
            write_atomic(folder / "remote.log", log)
            self._keep_beside(folder, whole=True)
        ended = judge(self.label, how, log, folder, asked=talk.stopped())
        clear(talk)
        return ended

    def _follow(self) -> dict[str, Any]:
        talk, at, mirror = self._talk, 0, _mirror(self._talk.job)

        def once() -> dict[str, Any]:
            nonlocal at
            follow = talk.command("follow", str(at), str(mirror.journal_bytes))
            with talk.connection.stream(follow) as stream:
                for answer in stream.answers():
                    talk.heard()
                    if "path" in answer:
                        self._keep(mirror, answer)
                    elif "line" in answer:
                        at = answer["at"]
                        event = decode(answer["line"])
                        if event is not None:
                            talk.tell(event)
                    elif "state" in answer:
                        return dict(answer)
                self._close(stream)
            raise LostConnectionError(f"{talk.address} said no more")

        return talk.patiently(once)

    def _close(self, stream: Stream) -> None:
        try:
            stream.close()
        except BrokeOffError:
            self._talk.require_job()
            raise

    def _keep(self, mirror: Mirror, told: dict[str, Any]) -> None:
        """What a finished attempt left; the journal's line comes behind its files.

        Where it will be is written down before: whoever takes the job up goes on there.
        """
        self._goes_into(mirror.reserve(told))
        mirror.take(told)
        if mirror.folder is not None and not (mirror.folder / _BESIDE).exists():
            self._keep_beside(mirror.folder, whole=False)

    def _goes_into(self, run: str) -> None:
        if run != self._talk.job.run:
            self._talk.state = self._talk.job.model_copy(update={"run": run})
            states.save(self._talk.job)

    @contextlib.contextmanager
    def _stoppable(self) -> Iterator[None]:
        threading.Thread(target=self._stop_when_asked, daemon=True).start()
        try:
            yield
        finally:
            self._done.set()

    def _stop_when_asked(self) -> None:
        talk = self._talk
        while not self._done.wait(0.2):
            if talk.stopped():
                with self._turn:
                    if talk.job.stage == states.PREPARING:
                        talk.connection.cut()
                        return
                self._ask_to_stop()
                return

    def _ask_to_stop(self) -> None:
        self._talk.note("asking the run there to end")
        with contextlib.suppress(MachineError, Given):
            self._talk.ask("stop")

    def _bring(self) -> Path | None:
        talk = self._talk
        with (
            Incoming(Path(talk.job.results), talk.job.job) as incoming,
            talk.connection.stream(talk.command("bring")) as stream,
        ):
            try:
                if next(stream.answers(), None) == "tar":
                    arriving = talk.watched(stream.out)
                    for name in unpack(arriving, incoming.folder):
                        talk.note(f"left out of what it sent, for it is no plain file: {name}")
                    while arriving.read(1 << 16):
                        pass
            except tarfile.TarError as error:
                raise LostConnectionError(f"{talk.address}: the results break off") from error
            self._close(stream)
            return incoming.settle(self.arrived)

    def _keep_beside(self, folder: Path, whole: bool) -> None:
        """What was noted of the machine, and whether all that the run left there has arrived."""
        job = self._talk.job
        told = {"job": job.job, "harness": job.harness_version, "notes": list(job.notes)}
        write_atomic(folder / _BESIDE, json.dumps({**told, "whole": whole}, indent=1) + "\n")

    def _at(self, stage: str) -> None:
        state = self._talk.job
        if state.stage != stage:
            self._talk.state = state.model_copy(update={"stage": stage})
            states.save(self._talk.job)


def _mirror(state: JobState) -> Mirror:
    return Mirror(Path(state.results), state.job, state.run)
