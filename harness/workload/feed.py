"""Batches into steps that are called from Python, and what they predict back out of the device."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from .backend import Array


class Feed:
    """Gathers batch after batch, in an order that is set anew for each pass."""

    def __init__(self, arrays: Sequence[Array], batch_size: int) -> None:
        self.images = len(arrays[0])
        self.batch_size = batch_size
        self._arrays = tuple(arrays)
        self._own_order = np.arange(self.images)
        self.begin()

    def begin(self, step: int = 0, order: Optional[Array] = None) -> None:
        """Start a pass at its batch `step`, in the data's own order where none is given."""
        self._order = self._own_order if order is None else order
        self._next = step * self.batch_size

    def next(self) -> Tuple[Array, ...]:
        """A batch of each array; the pass's last one is smaller where the data divide unevenly."""
        rows = self._order[self._next : self._next + self.batch_size]
        self._next += self.batch_size
        return tuple(array[rows] for array in self._arrays)

    def first(self) -> Tuple[Array, ...]:
        """The data's first full batch, wherever the pass is."""
        return tuple(array[: self.batch_size] for array in self._arrays)


class OneBatch:
    """A feed that gives the same batch for ever, from wherever it lies."""

    def __init__(self, batch: Sequence[Any]) -> None:
        self._batch = tuple(batch)

    def next(self) -> Tuple[Any, ...]:
        return self._batch


class Resident:
    """Runs `trainer` on `batch`, a batch on the device, in its own feed's place."""

    def __init__(self, trainer: Any, batch: Sequence[Any]) -> None:
        self.images = self.batch_size = trainer.batch_size
        self._trainer = trainer
        self._batch = OneBatch(batch)

    def begin(self, epoch: int, step: int = 0) -> None:
        self._trainer.begin(epoch, step)

    def run(self, steps: int) -> None:
        feed, self._trainer.feed = self._trainer.feed, self._batch
        try:
            self._trainer.run(steps)
        finally:
            self._trainer.feed = feed

    def sync(self) -> None:
        self._trainer.sync()

    def metrics(self) -> Dict[str, float]:
        found: Dict[str, float] = self._trainer.metrics()
        return found


class Predictions:
    """What steps predicted: left on the device until somebody waits for it."""

    def __init__(self, to_host: Callable[[Any], Array]) -> None:
        self._to_host = to_host
        self.clear()

    def clear(self) -> None:
        self._pending: List[Any] = []
        self._done: List[Array] = []

    def keep(self, part: Any) -> None:
        """Take a batch's predictions, without waiting for them."""
        self._pending.append(part)

    def bring(self) -> None:
        """Wait for all that was kept, and copy it to the host."""
        self._done += [self._to_host(part) for part in self._pending]
        self._pending = []

    def all(self) -> Array:
        """float32 [images, classes], in the order in which they were kept."""
        self.bring()
        return np.concatenate(self._done)
