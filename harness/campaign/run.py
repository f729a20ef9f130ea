"""Begin a run, or go on with one: its folder, its facts, and what it ended with."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import __version__
from harness.campaign.loop import Campaign
from harness.campaign.prepare import Prepared
from harness.campaign.resume import (
    NOTHING_DONE,
    Kept,
    changes,
    disturbed,
    interpreters,
    keep,
    refuse_another_machine,
)
from harness.campaign.schedule import Schedule, new_seed
from harness.events import Note, OnEvent, Stopped
from harness.host.fingerprint import Fingerprint
from harness.model import Record, Status, as_expected
from harness.results.machines import machine_of
from harness.results.recovery import recover
from harness.results.run import Invocation, RunFolder, RunInfo, impersonal, now, sha256

WRITE_EVERY_S = 2.0
"""How often machines that are met are written down; each of a hundred would cost a write of all."""


@dataclass(frozen=True)
class Outcome:
    """A run that has ended: its folder, its standing records, and whether the user stopped it.

    `strict`: what something else disturbed does not count.
    """

    folder: Path
    records: tuple[Record, ...]
    interrupted: bool
    strict: bool = False

    @property
    def as_expected(self) -> bool:
        """Whether every case completed, or ended as the matrix expects, and counts."""
        ended = all(as_expected(record.case, record.status) for record in self.records)
        return ended and not self.interrupted and not self.spoilt

    @property
    def spoilt(self) -> tuple[Record, ...]:
        """What does not count, for something else disturbed it."""
        return tuple(r for r in self.records if self.strict and disturbed(r))


def run(
    prepared: Prepared,
    on_event: OnEvent,
    stopped: Stopped = lambda: False,
    schedule: Schedule = Schedule(),  # noqa: B008 - frozen
) -> Outcome:
    """Measure every case as often as the matrix says; each attempt is on the disk before the next.

    Once `stopped` says so, what runs is ended and journalled as `interrupted`, and nothing else is
    started. Raises MachineError where the run folder can no longer be written.
    """
    folder = RunFolder.create(prepared.results)
    with folder.locked():
        info = begun(prepared, folder.run_id)
        return _go(prepared, folder, info, NOTHING_DONE, (on_event, stopped), schedule)


def resume(
    prepared: Prepared,
    path: Path,
    rerun: Sequence[Status],
    on_event: OnEvent,
    stopped: Stopped = lambda: False,
    schedule: Schedule = Schedule(),  # noqa: B008 - frozen
) -> Outcome:
    """Go on with the run in the folder `path`: measure what does not count as done.

    Raises InputError where another harness is at work on it or it is another machine's.
    """
    folder = RunFolder.open(path)
    with folder.locked():
        # What ends after this look is waited for; what ended before it is found by the next line.
        prepared.placed.executor.rejoin(folder.path)
        found = recover(folder)
        before = found.run
        if not prepared.placed.elsewhere:  # then any login node may go on
            refuse_another_machine(before.info, prepared.machine_hash)
        executor = prepared.placed.executor
        kept = keep(before.standing(), prepared.planned, executor.runtime, rerun, schedule.strict)
        swept = executor.sweep({"harness.run": folder.run_id})
        left = [f"removed a container that was left: {what}" for what in swept]
        now_ = begun(prepared, folder.run_id)
        changed = [*changes(before.info, prepared.planned), *interpreters(before.info, now_)]
        for note in (*found.notes(), *left, *changed, *kept.notes):
            on_event(Note(note))
        info = continued(before.info, now_)
        return _go(prepared, folder, info, kept, (on_event, stopped), schedule)


def begun(prepared: Prepared, run_id: str) -> RunInfo:
    digest = sha256(prepared.text)
    placed = prepared.placed
    interpreter = placed.interpreter
    price = prepared.price
    invocation = Invocation(
        started_at=now(),
        executor=placed.executor.name,
        runtime=placed.executor.runtime,
        runtime_reason=impersonal(placed.reason),
        interpreter=impersonal(interpreter) if interpreter is not None else None,
        left_out=placed.left_out,
        harness_version=__version__,
        python=platform.python_version(),
        matrix_sha256=digest,
        order_seed=_seed(prepared),
        price_per_hour=price.per_hour if price is not None else None,
        currency=price.currency if price is not None else None,
        preparation_s=_since(prepared.since),
    )
    return RunInfo(
        run_id=run_id,
        machine=prepared.machine,
        machine_hash=prepared.machine_hash,
        fingerprint=prepared.fingerprint,
        matrix=prepared.text,
        matrix_sha256=digest,
        cases=prepared.cases,
        ingredients={case.id: dict(case.ingredients) for case in prepared.planned},
        invocations=(invocation,),
    )


def _since(began: float | None) -> float | None:
    return None if began is None else round(time.monotonic() - began, 3)


def _seed(prepared: Prepared) -> int | None:
    if prepared.matrix.order != "shuffled":
        return None
    return new_seed() if prepared.matrix.seed is None else prepared.matrix.seed


def continued(before: RunInfo, now_: RunInfo) -> RunInfo:
    """The run's facts with another invocation; cells that are not measured now stay known."""
    again = {case.id: case for case in now_.cases}
    cells = tuple(again.pop(case.id, case) for case in before.cases)
    return now_.model_copy(
        update={
            "machine": before.machine,
            "machine_hash": before.machine_hash or now_.machine_hash,
            "fingerprint": _fingerprint(before, now_),
            "cases": cells + tuple(again.values()),
            "ingredients": {**before.ingredients, **now_.ingredients},
            "invocations": before.invocations + now_.invocations,
        }
    )


def _fingerprint(before: RunInfo, now_: RunInfo) -> Fingerprint:
    """As the machine is now, unless another one than before only sends the cases elsewhere."""
    same = before.machine_hash in (None, now_.machine_hash)
    return now_.fingerprint if same else before.fingerprint


def _go(
    prepared: Prepared,
    folder: RunFolder,
    info: RunInfo,
    kept: Kept,
    ears: tuple[OnEvent, Stopped],
    schedule: Schedule,
) -> Outcome:
    facts = _Facts(folder, info)
    campaign = Campaign(prepared, folder, kept.records, ears, schedule, facts.met)
    try:
        for record in kept.records.values():
            facts.met(record)  # one that was adopted may be another machine's first
        campaign.go(info.invocations[-1].order_seed, kept.again)
    finally:
        campaign.clear_up()
    facts.end()
    records = tuple(campaign.records.values())
    return Outcome(folder.path, records, campaign.interrupted, schedule.strict)


class _Facts:
    """A run's facts, kept in run.json while they grow."""

    def __init__(self, folder: RunFolder, info: RunInfo) -> None:
        self._folder, self._info = folder, info
        self._write()

    def met(self, record: Record) -> None:
        """A record has come, perhaps from a machine that is not known yet."""
        if record.machine != self._info.machine and record.machine not in self._info.machines:
            machine = machine_of(self._folder.path, record)
            if machine is not None:
                self._change(machines={**self._info.machines, machine.label: machine})
                self._unwritten = True
        if self._unwritten and time.monotonic() - self._written_at > WRITE_EVERY_S:
            self._write()

    def end(self) -> None:
        *before, last = self._info.invocations
        self._change(invocations=(*before, last.model_copy(update={"finished_at": now()})))
        self._write()

    def _change(self, **changes: object) -> None:
        self._info = self._info.model_copy(update=changes)

    def _write(self) -> None:
        self._folder.write_info(self._info)
        self._written_at, self._unwritten = time.monotonic(), False
