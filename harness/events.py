"""What goes up while a run goes on, through one `on_event` callback. Nothing else goes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.model import MemoryEvent, Record, ResourceEvent


@dataclass(frozen=True)
class CaseStarted:
    case_id: str
    number: int
    of: int


@dataclass(frozen=True)
class PhaseStarted:
    """The workload entered `phase` (``train`` or ``infer``)."""

    case_id: str
    phase: str


@dataclass(frozen=True)
class Progress:
    """Where a phase stands: `done` of `total` steps over all epochs.

    Where only a part is measured (`sampling`): seconds, of at most so many.
    """

    case_id: str
    phase: str
    epoch: int | None
    epochs: int | None
    done: int
    total: int
    images_per_s: float | None
    sampling: bool = False


@dataclass(frozen=True)
class MemoryEventSeen:
    """An allocator said in the log that it ran short."""

    case_id: str
    memory: MemoryEvent


@dataclass(frozen=True)
class ResourceEventSeen:
    """The log says that another resource ran short or failed."""

    case_id: str
    resource: ResourceEvent


@dataclass(frozen=True)
class CaseFinished:
    record: Record


@dataclass(frozen=True)
class Retrying:
    """An infrastructure fault ended an attempt; the next one begins in `wait_s`."""

    record: Record
    wait_s: float


@dataclass(frozen=True)
class Note:
    """Something to tell the user that is about no attempt."""

    text: str


Event = (
    Note
    | Retrying
    | CaseStarted
    | PhaseStarted
    | Progress
    | MemoryEventSeen
    | ResourceEventSeen
    | CaseFinished
)
OnEvent = Callable[[Event], None]
Stopped = Callable[[], bool]
"""Whether the user has asked for the run to end."""
