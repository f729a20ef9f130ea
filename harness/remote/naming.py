"""Events of several machines beside each other: each says whose it is."""

from __future__ import annotations

from dataclasses import replace

from harness import events


def named(event: events.Event, label: str) -> events.Event:
    """The same event of a case whose name begins with the machine's."""
    match event:
        case events.Note():
            return events.Note(f"{label}: {event.text}")
        case events.CaseFinished():
            record = event.record.model_copy(update={"case_id": f"{label} {event.record.case_id}"})
            return events.CaseFinished(record)
        case events.Retrying():
            record = event.record.model_copy(update={"case_id": f"{label} {event.record.case_id}"})
            return events.Retrying(record, event.wait_s)
        case _:
            return replace(event, case_id=f"{label} {event.case_id}")
