"""Our training loop against plain `model.fit`: the same model, data, batch and jit, epoch by epoch.

Both train inside one call of `fit`: our epoch runs between two of its own, before or after it in
turns. Each epoch is training and validation; the first, which traces, is left out, as is all that
`fit` does once a call. Aim: never slower.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import pairs
from benchmarks.workload import load, prepared, synthetic_case

RATIO = 1.0


class Turns:
    """Keras callbacks that time `fit`'s epochs and run `ours` between them, outside that time."""

    def __init__(self, ours: Callable[[], float]) -> None:
        self.measured: list[pairs.Pair] = []
        self._ours = ours
        self._ours_s = 0.0
        self._started = 0.0

    def on_epoch_begin(self, number: int) -> None:
        if not pairs.bare_first(number):
            self._ours_s = self._ours()
        self._started = time.perf_counter()

    def on_epoch_end(self, number: int) -> None:
        """Called after the epoch's validation."""
        bare_s = time.perf_counter() - self._started
        if pairs.bare_first(number):
            self._ours_s = self._ours()
        self.measured.append(pairs.Pair(bare_s, self._ours_s))
        pairs.say(f"epoch {number}: fit {bare_s:.2f} s, ours {self._ours_s:.2f} s")

    def as_keras(self, keras: Any) -> Any:
        """A Keras callback; its class exists only once Keras is imported."""
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda number, _logs: self.on_epoch_begin(number),
            on_epoch_end=lambda number, _logs: self.on_epoch_end(number),
        )


def our_epochs(case: Any, backend: Any, train: Any, validation: Any) -> Callable[[], float]:
    """Runs our next epoch of training and validation; returns its seconds by the wall."""
    blocks, models = load("blocks", "models")
    model = models.build(case, None)
    trainer = backend.trainer(model, train, case.batch_size, case.seed, case.jit)
    validator = backend.validator(model, validation, case.batch_size, case.jit)
    paces = blocks.Pace(), blocks.Pace()
    done = 0

    def epoch() -> float:
        nonlocal done
        started = time.perf_counter()
        for stepper, pace in zip((trainer, validator), paces, strict=True):
            blocks.run_pass(stepper, done, pace, time.perf_counter, lambda *_: None)
        done += 1
        return time.perf_counter() - started

    return epoch


def measure(spec: dict[str, Any], count: int) -> list[pairs.Pair]:
    """`count` pairs of epochs, after one of each that is not counted."""
    case, backend = prepared(spec)
    data, keras_api, models = load("data", "keras_api", "models")
    train, validation = (
        data.load(case.dataset, part, "") for part in (case.dataset.train, case.dataset.test)
    )
    turns = Turns(our_epochs(case, backend, train, validation))
    models.build(case, None).fit(
        *train,
        batch_size=case.batch_size,
        epochs=count + 1,
        validation_data=validation,
        validation_batch_size=case.batch_size,
        callbacks=[turns.as_keras(keras_api.keras)],
        verbose=0,
    )
    return turns.measured[1:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--model", default="model-a")
    parser.add_argument("--train", type=int, default=960, help="images")
    parser.add_argument("--validation", type=int, default=320, help="images")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--jit", action="store_true")
    chosen = parser.parse_args()
    where = pairs.machine()
    spec = synthetic_case(
        chosen.model, chosen.train, chosen.validation, chosen.batch_size, jit=chosen.jit
    )
    measured = measure(spec, chosen.pairs)
    what = f"{chosen.model}, batch {chosen.batch_size}{', jit' if chosen.jit else ''}"
    rows = [pairs.compare(f"an epoch of {what}", measured, RATIO)]
    return pairs.report("Training loop against model.fit", where, len(measured), rows)


if __name__ == "__main__":
    sys.exit(main())
