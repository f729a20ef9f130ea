"""Requests that name a GPU by its UUID, told without it: what a run writes names no card."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.host.gpus import Gpus
from harness.host.salted import salted
from harness.model import Case


def discreet_cases(cases: Iterable[Case], gpus: Gpus) -> list[Case]:
    """The cases, those that ask for a card by its UUID asking for it by its salted name."""
    names = {gpu.uuid.lower(): salted(gpu.uuid) for gpu in gpus.found}
    return [
        case.model_copy(update={"gpu": names[case.gpu.lower()]})
        if case.gpu.lower() in names
        else case
        for case in cases
    ]


def discreet_text(text: str, gpus: Gpus) -> str:
    """`text` with each card's UUID replaced by its salted name."""
    for gpu in gpus.found:
        text = re.sub(re.escape(gpu.uuid), salted(gpu.uuid), text, flags=re.IGNORECASE)
    return text
