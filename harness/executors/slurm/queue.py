"""All tasks of a run as Slurm sees them, asked for together and not too often."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from harness.executors.slurm.states import GONE, Seen


class Commands(Protocol):
    """What is asked of Slurm."""

    def submit(self, script: Path) -> str:
        """The job's number. Raises InfraError while the controller is away, else MachineError."""

    def states(self, jobs: Sequence[str]) -> dict[str, Seen] | None:
        """The tasks of these jobs, by their names; None where Slurm did not answer."""

    def queued(self, job_name: str) -> dict[str, str]:
        """The scripts of the tasks of that name that have not ended yet, by the tasks' names.

        Raises MachineError where Slurm did not answer.
        """

    def accounted(self, task: str) -> Seen | None:
        """What the accounting remembers of a task."""

    def terminate(self, tasks: Sequence[str]) -> None:
        """Take what waits off the queue, and ask what runs to end."""

    def cancel(self, tasks: Sequence[str]) -> None:
        """End them, whatever they are at."""


@dataclass(frozen=True)
class Pace:
    """In seconds: how long further attempts are waited for before an array is submitted, how often
    Slurm is asked, how long a record may take to be seen once its task has ended, and how long a
    task that was asked to end may take until it is ended, and how long a controller may be away
    that is to take an array.
    """

    gather_s: float = 0.5
    poll_s: float = 5.0
    grace_s: float = 45.0
    leave_s: float = 30.0
    away_s: float = 900.0


@dataclass(frozen=True)
class Look:
    """What is known of a task; `number` counts the times that Slurm was asked."""

    number: int
    seen: Seen | None = None


class Queue:
    """Asks for all watched tasks in one command, however many threads want to know."""

    def __init__(self, commands: Commands, poll_s: float) -> None:
        self._commands = commands
        self._poll_s = poll_s
        self._lock = threading.Lock()
        self._known: dict[str, Seen | None] = {}
        self._missed: Counter[str] = Counter()
        self._stopped: set[str] = set()
        self._waits_for: dict[str, str] = {}
        self._asked_at = 0.0
        self._number = 0

    def watch(self, task: str) -> None:
        with self._lock:
            self._known[task] = None
            self._missed[task] = 0

    def forget(self, task: str) -> None:
        with self._lock:
            self._known.pop(task, None)

    def look(self, task: str) -> Look:
        """What is known of a watched task, from now or a moment ago."""
        with self._lock:
            if time.monotonic() - self._asked_at >= self._poll_s:
                self._ask()
                self._asked_at = time.monotonic()
            return Look(self._number, self._known.get(task))

    def stop(self) -> None:
        """Ask all watched tasks to end, each once."""
        with self._lock:
            running = [task for task in self._known if task not in self._stopped]
            self._stopped.update(running)
            if running:
                self._commands.terminate(running)

    def was_stopped(self, task: str) -> bool:
        with self._lock:
            return task in self._stopped

    def cancel(self, task: str) -> None:
        self._commands.cancel([task])

    def news(self, task: str, seen: Seen) -> str | None:
        """Why the task's array waits, where that has not been told yet."""
        job = task.partition("_")[0]
        with self._lock:
            if not seen.waits or seen.reason in ("None", self._waits_for.get(job)):
                return None
            first = job not in self._waits_for
            self._waits_for[job] = seen.reason
        # Places taken and turns come and go; what may never pass is told whenever it is met.
        ordinary = seen.reason in ("Resources", "Priority", "JobArrayTaskLimit")
        return f"job {job} waits in the queue: {seen.reason}" if first or not ordinary else None

    def _ask(self) -> None:
        jobs = list(dict.fromkeys(task.partition("_")[0] for task in self._known))
        states = self._commands.states(jobs) if jobs else {}
        self._number += 1
        if states is None:
            return  # the controller is away: nothing is known anew
        for task in self._known:
            found = states.get(task)
            self._missed[task] = 0 if found else self._missed[task] + 1
            if found is None and self._missed[task] >= 2:
                before = self._known[task]
                found = self._commands.accounted(task) or _gone(before)
            self._known[task] = found or self._known[task]


def _gone(before: Seen | None) -> Seen:
    """A task that Slurm has forgotten, which ends its waiting whatever it was."""
    if before is not None and before.ended:
        return before
    return GONE if before is None else replace(GONE, node=before.node)
