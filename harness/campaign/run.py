"""Which case next, how often, and the journal: the only writer of records.jsonl."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import __version__
from harness.campaign.prepare import Prepared
from harness.model import CaseFinished, CaseStarted, OnEvent, PlannedCase, Record, Status, Stopped
from harness.plan.cases import workload_folder
from harness.results.run import Invocation, RunFolder, RunInfo, impersonal, now, sha256
from harness.runner import Place, run_attempt


@dataclass(frozen=True)
class Outcome:
    """A run that has ended: its folder, its records, and whether the user stopped it."""

    folder: Path
    records: tuple[Record, ...]
    interrupted: bool

    @property
    def completed(self) -> bool:
        return not self.interrupted and all(r.status.completed for r in self.records)


def run(prepared: Prepared, on_event: OnEvent, stopped: Stopped = lambda: False) -> Outcome:
    """Measure every case as often as the matrix says; each attempt is on the disk before the next.

    Once `stopped` says so, the case that runs is ended and journalled as `interrupted`, and no
    other is started. Raises MachineError where the run folder can no longer be written.
    """
    folder = RunFolder.create(prepared.results)
    with folder.locked():
        info = _info(prepared, folder.run_id)
        folder.write_info(info)
        campaign = _Campaign(prepared, folder, on_event, stopped)
        interrupted = campaign.go()
        ended = info.invocations[-1].model_copy(update={"finished_at": now()})
        folder.write_info(info.model_copy(update={"invocations": (ended,)}))
    return Outcome(folder.path, tuple(campaign.records.values()), interrupted)


def _info(prepared: Prepared, run_id: str) -> RunInfo:
    invocation = Invocation(
        started_at=now(),
        runtime=prepared.chosen.runtime.name,
        runtime_reason=impersonal(prepared.chosen.reason),
        harness_version=__version__,
        python=platform.python_version(),
    )
    return RunInfo(
        run_id=run_id,
        machine=prepared.machine,
        fingerprint=prepared.fingerprint,
        matrix=prepared.text,
        matrix_sha256=sha256(prepared.text),
        cases=prepared.cases,
        ingredients={case.id: dict(case.ingredients) for case in prepared.planned},
        invocations=(invocation,),
    )


class _Campaign:
    """The loop over cases and repeats, and what it has found so far."""

    def __init__(
        self, prepared: Prepared, folder: RunFolder, on_event: OnEvent, stopped: Stopped
    ) -> None:
        self.records: dict[tuple[str, int], Record] = {}
        self._prepared = prepared
        self._folder = folder
        self._on_event = on_event
        self._stopped = stopped

    def go(self) -> bool:
        """Whether the user stopped it."""
        order = list(self._order())
        for number, (repeat, case) in enumerate(order, 1):
            if self._stopped():
                return True
            self._on_event(CaseStarted(case.id, number, len(order)))
            record = self._measure(case, repeat)
            self._keep(record)
            if record.status is Status.INTERRUPTED:
                return True
        return False

    def _order(self) -> Iterator[tuple[int, PlannedCase]]:
        for repeat in range(1, self._prepared.matrix.repeats + 1):
            for case in self._prepared.planned:
                yield repeat, case

    def _measure(self, case: PlannedCase, repeat: int) -> Record:
        if case.same_as is not None:
            # Its figures are another case's: the journal shows them in each cell, told apart.
            measured = self.records[case.same_as, repeat]
            own = {"case_id": case.id, "case": case.case, "same_as": measured.case_id}
            return measured.model_copy(update=own)
        place = Place(
            run_id=self._folder.run_id,
            machine=self._prepared.machine,
            repeat=repeat,
            attempt=1,
            folder=self._folder.attempt_folder(case.id, repeat, 1),
            labels={"harness.folder": str(self._folder.path)},
        )
        runtime = self._prepared.chosen.runtime
        return run_attempt(case, workload_folder(), runtime, place, self._on_event, self._stopped)

    def _keep(self, record: Record) -> None:
        self._folder.journal(record)
        self.records[record.case_id, record.repeat] = record
        self._on_event(CaseFinished(record))
