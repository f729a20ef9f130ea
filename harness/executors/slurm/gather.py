"""Attempts that are asked for within a moment, submitted together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

Submit = Callable[[Sequence[Path]], Sequence[str]]
"""Submits attempts' folders as one array; the names of their tasks in the same order."""


class Gathering:
    """Waits until nobody new came for a moment, then submits for all: whoever came first does.

    So a wave of attempts from several threads is one array, and one that comes alone is its own.
    """

    def __init__(self, submit: Submit, moment_s: float, longest_s: float = 5.0) -> None:
        self._submit = submit
        self._moment_s = moment_s
        self._longest_s = longest_s
        self._changed = threading.Condition()
        self._waiting: list[tuple[Path, Future[str]]] = []

    def task_for(self, folder: Path) -> str:
        """Submit the attempt in `folder`, alone or with others. Raises what submitting raises."""
        mine: Future[str] = Future()
        with self._changed:
            first = not self._waiting
            self._waiting.append((folder, mine))
            self._changed.notify_all()
        if first:
            self._lead()
        return mine.result()

    def _lead(self) -> None:
        together = self._gathered()
        try:
            tasks = self._submit([folder for folder, _ in together])
        except BaseException as error:
            for _, future in together:
                future.set_exception(error)
            return
        for (_, future), task in zip(together, tasks, strict=True):
            future.set_result(task)

    def _gathered(self) -> list[tuple[Path, Future[str]]]:
        latest = time.monotonic() + self._longest_s
        with self._changed:
            while True:
                count = len(self._waiting)
                left = latest - time.monotonic()
                self._changed.wait(min(self._moment_s, max(left, 0)))
                if len(self._waiting) == count or left <= 0:
                    together, self._waiting = self._waiting, []
                    return together
