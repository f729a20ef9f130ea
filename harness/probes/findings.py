"""What is kept of a log's events for the judge: bounded, however often a log repeats itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from harness.model import MemoryEvent, MemoryKind, ResourceEvent
from harness.probes.logs import LogEvent
from harness.probes.reading import Aside, OtherError, PassedOn

MAX_KEPT = 200
"""Of each kind of memory event the last ones are kept, and the largest request."""

_DECIDING = (MemoryKind.HARD, MemoryKind.HOST)
_REFUSED = (*_DECIDING, MemoryKind.UNCERTAIN)


class Findings:
    """Takes the events of all streams in the order in which they came.

    `resource` is the last message about another resource that no refused allocation followed,
    `hint` the last that tells something only where a GPU was asked for, `other_error` the last
    error of another kind that was printed after all of these; a doubtful one only where it would
    be blamed on memory otherwise.
    """

    def __init__(self) -> None:
        self.resource: ResourceEvent | None = None
        self.hint: ResourceEvent | None = None
        self.other_error: str | None = None
        self._aside = False
        self._number = 0
        self._refusals = 0
        self._kept: dict[MemoryKind, deque[tuple[int, MemoryEvent]]] = {}
        self._largest: dict[MemoryKind, tuple[int, MemoryEvent]] = {}

    def take(self, event: LogEvent) -> None:
        match event:
            case MemoryEvent():
                self._remember(event)
            case ResourceEvent(hint=True):
                self.hint = event
            case ResourceEvent():
                self.resource, self.other_error = event, None
            case OtherError():
                if not self._aside and (not event.doubtful or self._blamed_on_memory):
                    self.other_error = event.line
                self._aside = False
            case PassedOn():
                self._aside = False
            case Aside():
                self._aside = True

    @property
    def memory_events(self) -> tuple[MemoryEvent, ...]:
        """Those that were kept, in the order in which they came."""
        kept = {number: event for numbered in self._kept.values() for number, event in numbered}
        kept |= dict(self._largest.values())
        return tuple(kept[number] for number in sorted(kept))

    @property
    def left_out(self) -> int:
        """How many memory events were not kept."""
        return self._number - len(self.memory_events)

    @property
    def pressure_events(self) -> int:
        """How often an allocator ran short; what is only told again is not counted again."""
        return max(self._refusals, int(any(True for _ in self._short())))

    @property
    def largest_request(self) -> int | None:
        """In bytes, of the requests that were refused."""
        sizes = [event.requested_bytes for event in self._short() if event.requested_bytes]
        return max(sizes, default=None)

    @property
    def _blamed_on_memory(self) -> bool:
        return self.resource is None and any(kind in self._kept for kind in _REFUSED)

    def _short(self) -> Iterator[MemoryEvent]:
        return (event for _, event in self._largest.values() if event.ran_short)

    def _remember(self, event: MemoryEvent) -> None:
        numbered = (self._number, event)
        self._number += 1
        self._refusals += event.ran_short and not event.echo
        self._kept.setdefault(event.kind, deque(maxlen=MAX_KEPT)).append(numbered)
        largest = self._largest.setdefault(event.kind, numbered)[1]
        if (event.requested_bytes or 0) > (largest.requested_bytes or 0):
            self._largest[event.kind] = numbered
        if event.kind in _DECIDING:
            self.resource = None
        if event.kind in _REFUSED:
            self.other_error, self._aside = None, False
