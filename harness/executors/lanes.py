"""Tasks one after another, or side by side with at most one at a time in each lane."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from harness.executors.base import Lane, Task, Work

LOOK_EVERY_S = 0.2
"""How often the main thread wakes to let a signal through."""


def one_after_another(tasks: Iterable[Task], work: Work) -> None:
    """Do the tasks in their order, each followed by what it brings."""
    waiting = list(tasks)
    while waiting:
        following = work(waiting.pop(0))
        if following is None:
            return
        waiting[:0] = following


def side_by_side(tasks: Iterable[Task], lanes: Sequence[Lane], work: Work) -> None:
    """Do the tasks in their order in several lanes at once, each in one that fits.

    An error in one of them lets the others finish what they do, and is raised then.
    """
    _Lanes(list(tasks), work).run(lanes)


class _Lanes:
    """A thread for each lane, and the tasks that they share."""

    def __init__(self, waiting: list[Task], work: Work) -> None:
        self._waiting = waiting
        self._work = work
        self._running = 0
        self._over = False
        self._errors: list[BaseException] = []
        self._changed = threading.Condition()

    def run(self, lanes: Sequence[Lane]) -> None:
        threads = [threading.Thread(target=self._work_in, args=(lane,)) for lane in lanes]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(LOOK_EVERY_S)
        finally:
            self._end()
        if self._errors:
            raise self._errors[0]

    def _work_in(self, lane: Lane) -> None:
        while (task := self._next(lane)) is not None:
            try:
                self._done(self._work(task))
            except BaseException as error:
                self._errors.append(error)
                self._done(None)

    def _next(self, lane: Lane) -> Task | None:
        """The first task that fits; None once none is left and none can come."""
        with self._changed:
            while True:
                found = next((task for task in self._waiting if task.fits(lane)), None)
                if self._over or (found is None and self._running == 0):
                    return None
                if found is not None:
                    self._waiting.remove(found)
                    self._running += 1
                    return found.on(lane)
                self._changed.wait()

    def _done(self, following: Sequence[Task] | None) -> None:
        with self._changed:
            self._running -= 1
            self._over = self._over or following is None
            self._waiting[:0] = following or ()
            self._changed.notify_all()

    def _end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
