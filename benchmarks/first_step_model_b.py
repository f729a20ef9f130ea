"""Model B's first step: through our workload against plain `model.fit` on one batch.

Tracing the graph is nearly all of it. `fit` traces twice, since the first trace makes the
variables of optimizer and metrics; the workload makes them beforehand and traces once. Each
measurement is a fresh process; building the model is not in it. Aim: never slower.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

from benchmarks import pairs
from benchmarks.workload import in_a_child, load, prepared, synthetic_case
from harness.runtimes.interpreter import ask

RATIO = 1.0


def ours(model_name: str, batch_size: int, jit: bool) -> dict[str, float]:
    """Seconds of making the steppers' state, and of the first step."""
    case, backend = prepared(synthetic_case(model_name, batch_size, 1, batch_size, jit=jit))
    data, models = load("data", "models")
    arrays = data.load(case.dataset, case.dataset.train, "")
    model = models.build(case, None)
    started = time.perf_counter()
    trainer = backend.trainer(model, arrays, batch_size, case.seed, jit)
    trainer.begin(0)
    trainer.sync()
    ready = time.perf_counter()
    trainer.run(1)
    trainer.sync()
    return {"before_s": ready - started, "step_s": time.perf_counter() - ready}


def bare(model_name: str, batch_size: int, jit: bool) -> dict[str, float]:
    """Seconds of `fit` on one batch: it makes its state and takes its first step."""
    case, _ = prepared(synthetic_case(model_name, batch_size, 1, batch_size, jit=jit))
    data, models = load("data", "models")
    arrays = data.load(case.dataset, case.dataset.train, "")
    model = models.build(case, None)
    started = time.perf_counter()
    model.fit(*arrays, batch_size=batch_size, epochs=1, verbose=0)
    return {"before_s": 0.0, "step_s": time.perf_counter() - started}


CHILDREN = {"bare": bare, "ours": ours}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=pairs.at_least_one, default=2)
    parser.add_argument("--model", default="model-b")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--jit", action="store_true")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child is not None:
        told = CHILDREN[chosen.child](chosen.model, chosen.batch_size, chosen.jit)
        pairs.say(json.dumps(told))
        return 0
    before: list[float] = []

    def child(side: str) -> Callable[[], float]:
        line = ["--child", side, "--model", chosen.model, "--batch-size", str(chosen.batch_size)]
        line += ["--jit"] if chosen.jit else []

        def run() -> float:
            told = in_a_child(__file__, line)
            if side == "ours":
                before.append(told["before_s"])
            pairs.say(f"{side}: before {told['before_s']:.1f} s, step {told['step_s']:.1f} s")
            return float(told["before_s"] + told["step_s"])

        return run

    ask().require("tensorflow")
    where = pairs.machine()
    measured = list(pairs.interleave(chosen.pairs, child("bare"), child("ours")))
    share = [100 * b / pair.ours for b, pair in zip(before, measured, strict=True)]
    rows = [
        pairs.compare(f"{chosen.model} until its first step is done", measured, RATIO),
        pairs.figure("of that, making the state beforehand", share, "%"),
    ]
    return pairs.report("First step against model.fit on one batch", where, len(measured), rows)


if __name__ == "__main__":
    pairs.start(main)
