"""How a process ended, and what its log said of memory and other resources."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from harness.model.base import Frozen


class Exit(Frozen):
    """How the process ended; `killed_because` is only ever our own reason."""

    code: int | None
    oom_killed: bool = False
    killed_because: str | None = None


class MemoryKind(str, Enum):
    """What a memory message means by itself; the judge weighs it with how the process ended.

    `NOTICE` never changes a status, `UNCERTAIN` only that of a case which did not complete.
    """

    NOTICE = "notice"
    RECOVERABLE = "recoverable"
    HARD = "hard"
    UNCERTAIN = "uncertain"
    HOST = "host"


@dataclass(frozen=True)
class MemoryEvent:
    """One memory message of the log. `requested_bytes` as far as the text is precise.

    `echo`: it says again, in other words, what the message of the allocator itself said.
    `offset` is where its line begins in the stream, in bytes; `severity` the logger's letter.
    """

    kind: MemoryKind
    rule: str
    line: str
    allocator: str | None = None
    requested_bytes: int | None = None
    echo: bool = False
    op: str | None = None
    shape: tuple[int, ...] | None = None
    severity: str | None = None
    offset: int = 0

    @property
    def ran_short(self) -> bool:
        """Whether an allocator had to refuse a request."""
        return self.kind not in (MemoryKind.NOTICE, MemoryKind.UNCERTAIN)


@dataclass(frozen=True)
class ResourceEvent:
    """The log says that a `resource` other than memory ran short or failed.

    `hint`: also healthy logs of cases that want no GPU say so.
    """

    resource: str
    rule: str
    line: str
    hint: bool = False
    offset: int = 0
