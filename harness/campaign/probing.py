"""A run whose cases are chosen one after the other, each by what those before it came to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.campaign.attempts import Attempts
from harness.campaign.prepare import Prepared
from harness.campaign.resume import keep, refuse_another_machine
from harness.campaign.run import Outcome, begun, continued
from harness.events import CaseFinished, CaseStarted, Note, OnEvent, Stopped
from harness.model import PlannedCase, Record, Status
from harness.results.recovery import recover
from harness.results.run import RunFolder, RunInfo, now

AGAIN = (Status.FAILED, Status.TIMEOUT, Status.STALLED)
"""Statuses, beside those that are no result, that a run which goes on tries again."""

Next = Callable[[Sequence[Record]], PlannedCase | None]
"""The case to try next, or None where what is known suffices."""


def probe(
    prepared: Prepared, next_case: Next, most: int, on_event: OnEvent, stopped: Stopped
) -> Outcome:
    """Try case after case in a new run, at most `most` of them.

    Raises MachineError where the run folder can no longer be written.
    """
    folder = RunFolder.create(prepared.results)
    with folder.locked():
        info = begun(_without_cases(prepared), folder.run_id)
        return _Probing(prepared, folder, info, (on_event, stopped)).go([], next_case, most)


def probe_on(
    prepared: Prepared,
    path: Path,
    as_planned: Callable[[Record], PlannedCase],
    next_case: Next,
    most: int,
    ears: tuple[OnEvent, Stopped],
) -> Outcome:
    """Go on with the run in the folder `path`: what was tried there already is not tried again.

    `as_planned` is the case of a record as it would be planned now; one of another key, or of no
    result, does not count. Raises InputError where the run is another machine's.
    """
    folder = RunFolder.open(path)
    with folder.locked():
        found = recover(folder)
        before = found.run
        refuse_another_machine(before.info, prepared.machine_hash)
        executor = prepared.placed.executor
        executor.sweep({"harness.run": folder.run_id})
        standing = before.standing()
        planned = [as_planned(record) for record in standing.values()]
        kept = keep(standing, planned, executor.runtime, AGAIN)
        for note in (*found.notes(), *kept.notes):
            ears[0](Note(note))
        info = continued(before.info, begun(_without_cases(prepared), folder.run_id))
        known = list(kept.records.values())
        return _Probing(prepared, folder, info, ears).go(known, next_case, most)


def _without_cases(prepared: Prepared) -> Prepared:
    return replace(prepared, cases=(), planned=())


class _Probing:
    """One run folder, and the attempts that are made in it."""

    def __init__(
        self, prepared: Prepared, folder: RunFolder, info: RunInfo, ears: tuple[OnEvent, Stopped]
    ) -> None:
        self._folder = folder
        self._info = info
        self._on_event, self._stopped = ears
        self._attempts = Attempts(
            folder=folder,
            machine=prepared.machine,
            executor=prepared.placed.executor,
            journal=folder.journal,
            on_event=self._on_event,
            stopped=self._stopped,
        )

    def go(self, records: list[Record], next_case: Next, most: int) -> Outcome:
        self._folder.write_info(self._info)
        try:
            while not self._stopped() and len(records) < most:
                case = next_case(records)
                if case is None:
                    break
                self._add(case)
                self._on_event(CaseStarted(case.id, len(records) + 1, most))
                records.append(self._attempts.measure(case, 1, tuple))
                self._on_event(CaseFinished(records[-1]))
        finally:
            self._attempts.clear_up()
        last = self._info.invocations[-1].model_copy(update={"finished_at": now()})
        self._change(invocations=(*self._info.invocations[:-1], last))
        return Outcome(self._folder.path, tuple(records), self._stopped())

    def _add(self, case: PlannedCase) -> None:
        """A case belongs to the run before it is begun."""
        cells = [known for known in self._info.cases if known.id != case.id]
        self._change(
            cases=(*cells, case.case),
            ingredients={**self._info.ingredients, case.id: dict(case.ingredients)},
        )

    def _change(self, **changes: object) -> None:
        self._info = self._info.model_copy(update=changes)
        self._folder.write_info(self._info)
