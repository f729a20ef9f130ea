"""The phase ``infer``: load the saved model in a fresh process and predict all test images."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import Any, Callable, Dict

from . import backend as backends
from . import blocks, contract, data, machine, models, output, quick, trial
from .backend import Array, Predictor
from .blocks import Pace, Pass
from .phases import Folders
from .spec import Spec

clock = time.monotonic


def run(spec: Spec, folders: Folders) -> None:
    """Leaves ``timing-infer.json`` in the out folder."""
    started = machine.process_start()
    backend = backends.load(spec.framework)
    output.emit({"event": "device", **backend.prepare(spec)})
    images, labels = data.load(spec.dataset, spec.dataset.test, folders.data)
    startup_s = clock() - started

    steps = -(-len(images) // spec.protocol.inference_batch_size)
    output.emit({"event": "phase", "phase": "infer", "steps": steps})
    path = os.path.join(folders.out, contract.MODEL_FILE)
    cached = machine.cached_share(path)
    start = clock()
    model = models.load(path)
    model_load_s = clock() - start

    start = clock()
    predictor = backend.predictor(model, images, spec.protocol.inference_batch_size, spec.jit)
    prepare_s = clock() - start
    on_block = output.progress(clock, phase="infer", steps=steps)
    figures: Dict[str, Any] = {"measured": contract.FIT}
    if spec.measure == contract.FIT:
        result = trial.try_out(predictor, clock, on_block)
    else:
        enough = _sampler(spec) if spec.measure == "quick" else blocks.never
        result = blocks.run_pass(predictor, 0, Pace(), clock, on_block, enough)
        figures = (
            _whole(result, prepare_s, model_load_s, predictor, labels)
            if result.complete
            else _part(result, predictor)
        )
    fields = {
        "startup_s": startup_s,
        "model_load_s": model_load_s,
        "model_cached_share": cached,
        "prepare_s": prepare_s,
        "first_predict_s": result.first_s,
        "images": len(images),
        "blocks": {"predict": [asdict(block) for block in result.blocks]},
        **figures,
        **output.surroundings(backend, model, spec.jit),
    }
    output.write_timing(folders.out, "infer", fields)
    output.emit({"event": "done", "phase": "infer"})


def _sampler(spec: Spec) -> Callable[[Pass], bool]:
    """What of a pass is enough, with inference's share of the budget."""
    share = quick.Span((spec.budget_s or quick.MOST_S) * quick.SHARE)
    return lambda now: quick.enough(now.blocks, now.seconds, share)


def _whole(
    result: Pass, prepare_s: float, model_load_s: float, predictor: Predictor, labels: Array
) -> Dict[str, Any]:
    predict_s = prepare_s + result.seconds
    hits = predictor.predictions().argmax(axis=1) == labels.argmax(axis=1)
    return {
        "measured": "full",
        "predict_s": predict_s,
        "total_inference_s": model_load_s + predict_s,
        "accuracy": float(hits.mean()),
    }


def _part(result: Pass, predictor: Predictor) -> Dict[str, Any]:
    """A sample of the blocks, and the ends of a pass; the host predicts the whole from them."""
    sample = quick.Sample()
    sample.add(result)
    ends = [blocks.run_ends(predictor, 0, clock) for _ in range(quick.PARTS)]
    sample.overheads += [end.overhead_s for end in ends]
    sample.partials += [end.partial_s for end in ends if end.partial_s]
    return {
        "measured": "quick",
        "accuracy": None,
        "plan": {"steps": predictor.images // predictor.batch_size},
        "sample": {"predict": sample.parts()},
    }
