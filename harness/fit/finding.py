"""From what was asked to the batch that fits: prepare once, probe, tell."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from harness.analysis.fit import OUT_OF_MEMORY, Fit, but_for_the_batch, largest_batch
from harness.campaign import Outcome, Prepared, Request, prepare
from harness.campaign.probing import probe, probe_on
from harness.errors import InputError
from harness.events import OnEvent, Stopped
from harness.fit.candidates import Candidates
from harness.fit.room import Memory, Room, room_for
from harness.fit.search import Found, Probe, next_batch
from harness.host.allowed import allowed
from harness.host.gpus import choose, find_gpus
from harness.model import PlannedCase, Record
from harness.results.reading import read_run

FREE_SHARE = 0.9
"""Of the host's free memory, what probes on the processor get where nobody says otherwise."""


@dataclass(frozen=True)
class Question:
    """`content` is a matrix of one case; `memory` in bytes; no more probes than `probes`."""

    content: Mapping[str, Any]
    memory: int | None = None
    max_batch: int = 4096
    probes: int = 20


@dataclass(frozen=True)
class Answer:
    """What the probes in `folder` found.

    `settled`: no batch size between those named is left to try. `ended` says why it broke off
    where it did. `most` is the largest batch there was to try.
    """

    fit: Fit
    folder: Path
    records: tuple[Record, ...]
    room: Room
    most: int
    settled: bool
    ended: str | None
    interrupted: bool


def find(
    question: Question,
    request: Request,
    going_on: Path | None,
    note: Callable[[str], None],
    ears: tuple[OnEvent, Stopped],
) -> Answer:
    """Search, in a new run or on in the run `going_on`. Raises HarnessError."""
    candidates = Candidates(question.content, _room(question, request))
    matrix, text = candidates.matrix()
    prepared = prepare(matrix, text, request, note)
    note(f"memory: {candidates.room}")
    search = Search(prepared, candidates, question)
    outcome = search.go(going_on, ears)
    return search.answer(outcome)


def _room(question: Question, request: Request) -> Room:
    if len(request.gpus) != 1:
        raise InputError("--gpu names several GPUs", "ask about one after the other")
    usable = allowed(find_gpus(), os.environ)
    device = choose(request.gpus[0], usable)
    in_all = next((gpu.memory for gpu in usable.found if gpu.uuid == device.uuid), None)
    free = int(psutil.virtual_memory().available * FREE_SHARE)
    framework = question.content["defaults"]["framework"]
    return room_for(framework, str(device.kind), Memory(question.memory, in_all, free))


class Search:
    """The cases that are tried, each chosen by what those before it came to."""

    def __init__(self, prepared: Prepared, candidates: Candidates, question: Question) -> None:
        self._prepared = prepared
        self._planned = prepared.planned[0]
        self._candidates = candidates
        self._probes = question.probes
        # A batch holds no more images than there are.
        self.most = min(question.max_batch, self._planned.spec["dataset"]["train"]["count"])

    def go(self, going_on: Path | None, ears: tuple[OnEvent, Stopped]) -> Outcome:
        """Try batches until all is known. Raises MachineError and InputError."""
        if going_on is None:
            return probe(self._prepared, self._next, self._probes, *ears)
        self._refuse_another_case(going_on)
        planned = self._as_planned
        return probe_on(self._prepared, going_on, planned, self._next, self._probes, ears)

    def answer(self, outcome: Outcome) -> Answer:
        """What the probes came to."""
        ended = _why_it_ended(outcome.records)
        left = self._next(outcome.records) is not None
        if ended is None and left and not outcome.interrupted:
            ended = f"{len(outcome.records)} probes were made; --resume with a larger --max-probes"
        return Answer(
            fit=largest_batch(outcome.records),
            folder=outcome.folder,
            records=outcome.records,
            room=self._candidates.room,
            most=self.most,
            settled=ended is None and not left,
            ended=ended,
            interrupted=outcome.interrupted,
        )

    def _next(self, records: Sequence[Record]) -> PlannedCase | None:
        if _why_it_ended(records) is not None:
            return None
        room = self._candidates.room
        probes = [
            Probe(record.case.batch_size, _found(record), room.peak(record)) for record in records
        ]
        batch = next_batch(probes, room.limit, self.most)
        return None if batch is None else self._candidates.at(self._planned, batch)

    def _as_planned(self, record: Record) -> PlannedCase:
        return self._candidates.at(self._planned, record.case.batch_size)

    def _refuse_another_case(self, path: Path) -> None:
        asked = but_for_the_batch(self._candidates.at(self._planned, 1).case)
        if any(but_for_the_batch(case) != asked for case in read_run(path).info.cases):
            raise InputError(
                f"{path.name} is no search for the batch of this very case",
                "give the options that it was begun with, or leave --resume out",
            )


def _found(record: Record) -> Found:
    return Found.OOM if record.status in OUT_OF_MEMORY else Found(record.status.value)


def _why_it_ended(records: Sequence[Record]) -> str | None:
    """A probe that neither completed nor ran out of memory says nothing of what fits."""
    for record in records:
        if not record.status.completed and record.status not in OUT_OF_MEMORY:
            return f"batch {record.case.batch_size} ended {record.status.value}: {record.reason}"
    return None
