"""The last word of a report: one sentence a model, and the same as data."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.analysis.feasibility import Verdict, verdicts
from harness.analysis.fit import OUT_OF_MEMORY
from harness.analysis.hours import Hours
from harness.analysis.pivot import Group
from harness.analysis.verdict import Outcome
from harness.catalog import protocols
from harness.model import Record
from harness.report.baselines import PREDICTED
from harness.units import human_bytes, human_seconds

TITLE = "Verdict"
MOST_SENTENCES = 50
"""That somebody reads; a matrix of many settings has its verdicts in JSON."""
LONGEST = 160
"""Characters of a reason that a sentence takes."""
MOST_EVIDENCE = 4
"""Cases that a sentence names one by one."""

_PREFIX = re.compile(r"^.{0,80}?\.cc:\d+\] ")
"""When and where in its source a framework wrote a line."""


def section(groups: Sequence[Group], heading: str) -> list[str]:
    """The section as parts to be joined by newlines; none where there is no case."""
    found = verdicts(groups, protocols())
    if not found:
        return []
    more = len(found) - MOST_SENTENCES
    told = [f"- {sentence(verdict)}" for verdict in found[:MOST_SENTENCES]]
    return ["", heading.format(TITLE), *told, *([f"- and {more} more"] if more > 0 else [])]


def as_data(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Each verdict with its sentence; of a record that speaks against it, what is needed."""
    return [
        {
            **asdict(verdict),
            "fit": verdict.fit,
            "against": _plain(verdict.against),
            "sentence": sentence(verdict),
        }
        for verdict in verdicts(groups, protocols())
    ]


def _plain(record: Record | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {
        "case_id": record.case_id,
        "batch": record.case.batch_size,
        "status": record.status,
        "reason": record.reason,
    }


def sentence(verdict: Verdict) -> str:
    """Who, what, for how long, why, and what it rests on."""
    told = [_OUTCOMES[verdict.outcome](verdict)]
    if verdict.outcome in (Outcome.FEASIBLE, Outcome.SMALLER):
        told += [_hours(verdict), *_memory(verdict), *_limit(verdict)]
    if verdict.synthetic:
        told.append("on synthetic images")
    return f"{_who(verdict)}: {'; '.join(told)} {_evidence(verdict)}".rstrip()


def _who(verdict: Verdict) -> str:
    setting = _settings(verdict.setting)
    on = f" on {verdict.device}" if verdict.device else ""
    processor = " (the processor, no GPU)" if verdict.processor else ""
    machine = f"{verdict.machine} " if verdict.machine else ""
    return f"{machine}{verdict.model}{setting}{on}{processor}"


def _settings(setting: Mapping[str, str]) -> str:
    sizes = ("memory_limit", "device_memory")
    told = [
        f"{name}={human_bytes(int(text)) if name in sizes else text}"
        for name, text in setting.items()
    ]
    return f" with {', '.join(told)}" if told else ""


# ------------------------------------------------------------------ what


def _feasible(verdict: Verdict) -> str:
    if verdict.batch == verdict.asked:
        return f"feasible at batch {verdict.batch}"
    return f"feasible: batch {verdict.batch} ran, the protocol's {verdict.asked} was not measured"


def _smaller(verdict: Verdict) -> str:
    if verdict.against is None:
        return (
            f"feasible with batch {verdict.batch}: the protocol's {verdict.asked} was not measured"
        )
    if verdict.against.status in OUT_OF_MEMORY:
        return f"feasible with batch ≤ {verdict.batch}: {_ended(verdict.against)}"
    return f"feasible with batch {verdict.batch}, but {_ended(verdict.against)}"


def _not_feasible(verdict: Verdict) -> str:
    assert verdict.against is not None
    memory = verdict.against.status in OUT_OF_MEMORY
    tried = verdict.fit is not None or not memory
    more = "" if tried else "; harness fit tells whether a smaller batch fits"
    return f"not feasible: {_ended(verdict.against)}{more}"


def _open(verdict: Verdict) -> str:
    if verdict.against is None:
        return "no verdict: not measured"
    contradicts = ", and yet a larger batch ran" if verdict.batch is not None else ""
    return f"no verdict: {_ended(verdict.against)}{contradicts}"


_OUTCOMES: Mapping[Outcome, Callable[[Verdict], str]] = {
    Outcome.FEASIBLE: _feasible,
    Outcome.SMALLER: _smaller,
    Outcome.NOT_FEASIBLE: _not_feasible,
    Outcome.OPEN: _open,
}


def _ended(record: Record) -> str:
    clause = first_clause(record.reason)
    return f"batch {record.case.batch_size} ended {record.status.value}" + (
        f" ({clause})" if clause else ""
    )


def first_clause(reason: str) -> str:
    """The beginning of a reason, without where in its source a framework wrote it."""
    text = _PREFIX.sub("", reason.splitlines()[0] if reason else "")
    return textwrap.shorten(text.partition("; ")[0], LONGEST, placeholder=" …")


# ------------------------------------------------------------------ for how long, and how


def _hours(verdict: Verdict) -> str:
    if not verdict.whole:
        return f"hours not measured at the full protocol ({verdict.protocol} is cut short)"
    if not verdict.hours:
        return f"hours of {verdict.protocol} not measured"
    return f"{verdict.protocol} takes {', '.join(map(_time, verdict.hours))}"


def _time(hours: Hours) -> str:
    about = PREDICTED if hours.predicted else ""
    how = "predicted" if hours.predicted else "measured"
    if hours.interval is not None:
        how += f", {' to '.join(map(human_seconds, hours.interval))}"
    return f"{about}{human_seconds(hours.seconds)} on {hours.dataset} ({how})"


def _memory(verdict: Verdict) -> list[str]:
    told = []
    if count := verdict.short_of_memory:
        told.append(f"memory ran short {'once' if count == 1 else f'{count} times'}")
    if verdict.lost:
        told.append(f"{verdict.lost} of {verdict.attempts} attempts ran out of memory")
    return told


def _limit(verdict: Verdict) -> list[str]:
    """How far it is from the end, where that was found and is not said yet."""
    if verdict.fit is not None:
        return [f"harness fit: {verdict.fit}"]
    if verdict.outcome is Outcome.FEASIBLE and (verdict.short_at or 0) > (verdict.batch or 0):
        return [f"memory runs out at batch {verdict.short_at}"]
    return []


def _evidence(verdict: Verdict) -> str:
    told = [
        f"{'fit ' if one.probe else ''}{one.case_id}: {one.attempts} {one.status.value}"
        for one in verdict.evidence
    ]
    more = len(told) - MOST_EVIDENCE
    shown = [*told[:MOST_EVIDENCE], *([f"{more} more"] if more > 0 else [])]
    return f"[{', '.join(shown)}]" if shown else ""
