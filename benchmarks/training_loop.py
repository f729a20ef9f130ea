"""Our training loop against plain `model.fit`: the same model, data, batch and jit, epoch by epoch.

Both train inside one call of `fit`: our epoch runs between two of its own, before or after it in
turns. Each epoch is training and validation; the first, which traces, is left out, as is all that
`fit` does once a call.

`fit` waits for its first batch: with tf.data's tuning thread the old iterator's end can block the
new one's start for seconds (TensorFlow 2.17; without our epochs between its own too). So it is
compared twice: whole epochs, and without that wait, where only the loops are left. Aims: never
slower, and no more than noise slower (2%) where the wait is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from benchmarks import pairs
from benchmarks.workload import load, prepared, synthetic_case
from harness.runtimes.interpreter import ask

WHOLE, LOOP = 1.0, 1.02


class Turns:
    """Keras callbacks that time `fit`'s epochs and run `ours` between them, outside that time.

    `whole` are pairs of whole epochs; in `loop` the epoch of `fit` begins with its first batch.
    """

    def __init__(self, ours: Callable[[], float]) -> None:
        self.whole: list[pairs.Pair] = []
        self.loop: list[pairs.Pair] = []
        self._ours = ours
        self._ours_s = 0.0
        self._started = 0.0
        self._first_batch = 0.0

    def on_epoch_begin(self, number: int) -> None:
        if not pairs.bare_first(number):
            self._ours_s = self._ours()
        self._started = time.perf_counter()

    def on_batch_begin(self, batch: int) -> None:
        if batch == 0:
            self._first_batch = time.perf_counter()

    def on_epoch_end(self, number: int) -> None:
        """Called after the epoch's validation."""
        ended = time.perf_counter()
        bare_s, loop_s = ended - self._started, ended - self._first_batch
        if pairs.bare_first(number):
            self._ours_s = self._ours()
        self.whole.append(pairs.Pair(bare_s, self._ours_s))
        self.loop.append(pairs.Pair(loop_s, self._ours_s))
        wait_s = bare_s - loop_s
        pairs.say(
            f"epoch {number}: fit {bare_s:.2f} s ({wait_s:.2f} s until its first batch), "
            f"ours {self._ours_s:.2f} s"
        )

    def as_keras(self, keras: Any) -> Any:
        """A Keras callback; its class exists only once Keras is imported."""
        callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda number, _logs: self.on_epoch_begin(number),
            on_epoch_end=lambda number, _logs: self.on_epoch_end(number),
        )
        callback.on_train_batch_begin = lambda batch, logs=None: self.on_batch_begin(batch)  # noqa: ARG005
        return callback


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


def measure(spec: dict[str, Any], count: int) -> Turns:
    """One epoch of each that traces, then `count` pairs."""
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
    return turns


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=pairs.at_least_one, default=6)
    parser.add_argument("--model", default="model-a")
    parser.add_argument("--train", type=int, default=960, help="images")
    parser.add_argument("--validation", type=int, default=320, help="images")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--jit", action="store_true")
    chosen = parser.parse_args()
    ask().require("tensorflow")
    where = pairs.machine()
    spec = synthetic_case(
        chosen.model, chosen.train, chosen.validation, chosen.batch_size, jit=chosen.jit
    )
    turns = measure(spec, chosen.pairs)
    what = f"{chosen.model}, batch {chosen.batch_size}{', jit' if chosen.jit else ''}"
    rows = [
        pairs.compare(f"an epoch of {what}", turns.whole[1:], WHOLE),
        pairs.compare("without fit's wait for its first batch", turns.loop[1:], LOOP),
    ]
    return pairs.report("Training loop against model.fit", where, chosen.pairs, rows)


if __name__ == "__main__":
    pairs.start(main)
