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

from harness.errors import MachineError
from harness.events import OnEvent, Stopped
from harness.remote import state as states
from harness.remote.address import Address, parse_address
from harness.remote.bringing import Incoming, unpack
from harness.remote.ending import Ended, judge
from harness.remote.event_lines import decode
from harness.remote.mirror import Mirror
from harness.remote.preparing import Order, look, make_ready, new_state
from harness.remote.ssh import Connection
from harness.remote.state import JobState
from harness.remote.talk import Given, Talk
from harness.remote.trouble import LostConnectionError
from harness.results.files import write_atomic

LOG_BYTES = 1 << 20


class Job:
    """One job as this end sees it. `tell` gets its events, `stopped` says the user had enough."""

    def __init__(
        self, address: Address, label: str, tell: OnEvent, stopped: Stopped = lambda: False
    ) -> None:
        self.label = label
        self._talk = Talk(address, tell, stopped)
        self._done = threading.Event()

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
        self._talk.connection.cut()

    def begin(self, order: Order) -> Ended:
        """From the first look to the run's folder here. Raises HarnessError, or Given."""
        talk = self._talk
        site = look(talk, order)
        talk.state = new_state(talk, self.label, order, site)
        states.save(talk.state)
        with states.followed(talk.state), self._stoppable():
            try:
                make_ready(talk, order, site)
            except BaseException:
                self._give_up()
                raise
            self._at(states.RUNNING)
            talk.note(f"measuring, as job {talk.job.job}")
            return self._finish()

    def take_up(self) -> Ended:
        """Go on with a job that was begun before. Raises HarnessError."""
        talk = self._talk
        with states.followed(talk.job), self._stoppable():
            how = talk.ask("state") if self._agent_is_there() else {"state": "gone"}
            if how["state"] == "gone" or (
                talk.job.stage == states.PREPARING and how["state"] == "waiting"
            ):
                self._give_up()
                had = "what had arrived is here" if self.arrived else "there is nothing to bring"
                raise MachineError(
                    f"the job {talk.job.job} is no longer there, or had not begun to measure: "
                    f"{had}",
                    "start it again: harness matrix FILE --on …",
                )
            return self._finish()

    def _agent_is_there(self) -> bool:
        talk = self._talk
        said = talk.patiently(lambda: talk.connection.run(talk.command("state")))
        return said.answer() is not None

    def _finish(self) -> Ended:
        talk = self._talk
        if talk.job.stage == states.PREPARING:
            self._at(states.RUNNING)
        how = self._follow()
        self._done.set()
        log = talk.ask("log", str(LOG_BYTES))["log"]
        folder = talk.patiently(self._bring)
        if folder is not None:
            write_atomic(folder / "remote.log", log)
            self._keep_beside(folder, whole=True)
        ended = judge(self.label, how, log, folder)
        self._clean()
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
                stream.close()
            raise LostConnectionError(f"{talk.address} said no more")

        return talk.patiently(once)

    def _keep(self, mirror: Mirror, told: dict[str, Any]) -> None:
        """What a finished attempt left; the journal's line comes behind its files."""
        mirror.take(told)
        if mirror.folder is not None and mirror.name != self._talk.job.run:
            self._talk.state = self._talk.job.model_copy(update={"run": mirror.name})
            states.save(self._talk.job)
            self._keep_beside(mirror.folder, whole=False)

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
                if talk.job.stage == states.PREPARING:
                    talk.connection.cut()
                    return
                talk.note("asking the run there to end")
                with contextlib.suppress(MachineError, Given):
                    talk.ask("stop")
                return

    def _bring(self) -> Path | None:
        talk = self._talk
        with (
            Incoming(Path(talk.job.results), talk.job.job) as incoming,
            talk.connection.stream(talk.command("bring")) as stream,
        ):
            try:
                if next(stream.answers(), None) == "tar":
                    for name in unpack(stream.out, incoming.folder):
                        talk.note(f"left out of what it sent, for it is no plain file: {name}")
                    while stream.out.read(1 << 16):
                        pass
            except tarfile.TarError as error:
                raise LostConnectionError(f"{talk.address}: the results break off") from error
            stream.close()
            return incoming.settle(self.arrived)

    def _keep_beside(self, folder: Path, whole: bool) -> None:
        """What was noted of the machine, and whether all that the run left there has arrived."""
        job = self._talk.job
        told = {"job": job.job, "harness": job.harness_version, "notes": list(job.notes)}
        write_atomic(folder / "remote.json", json.dumps({**told, "whole": whole}, indent=1) + "\n")

    def _clean(self) -> None:
        talk = self._talk
        if talk.job.keep:
            talk.note(f"kept there: {talk.job.folder}")
            states.forget(talk.job)
            return
        try:
            talk.ask("clean")
        except MachineError as error:
            talk.note(
                f"{talk.job.folder} is left there ({error.message}); "
                f"harness attach {talk.job.job} removes it"
            )
            return
        states.forget(talk.job)

    def _give_up(self) -> None:
        """Nothing was measured: leave nothing behind, as far as the machine lets us."""
        talk = self._talk
        with contextlib.suppress(MachineError):  # its state stays, and so does what attach can do
            said = Connection(talk.address).run(talk.command("clean"))
            if said.code == 0 or "No such file" in said.err:
                states.forget(talk.job)

    def _at(self, stage: str) -> None:
        state = self._talk.job
        if state.stage != stage:
            self._talk.state = state.model_copy(update={"stage": stage})
            states.save(self._talk.job)


def _mirror(state: JobState) -> Mirror:
    return Mirror(Path(state.results), state.job, state.run)
