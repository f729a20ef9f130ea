"""The phase ``infer``: load the saved model in a fresh process and predict all test images."""

from __future__ import annotations

import os
import time
from dataclasses import asdict

from . import backend as backends
from . import blocks, contract, data, machine, models, output
from .blocks import Pace
from .phases import Folders
from .spec import Spec

clock = time.perf_counter


def run(spec: Spec, folders: Folders) -> None:
    """Leaves ``timing-infer.json`` in the out folder."""
    started = machine.process_start()
    backend = backends.load(spec.framework)
    backend.prepare(spec)
    images, labels = data.load(spec.dataset, spec.dataset.test, folders.data)
    startup_s = clock() - started

    steps = -(-len(images) // spec.protocol.inference_batch_size)
    output.emit({"event": "phase", "phase": "infer", "steps": steps})
    start = clock()
    model = models.load(os.path.join(folders.out, contract.MODEL_FILE))
    model_load_s = clock() - start

    start = clock()
    predictor = backend.predictor(model, images, spec.protocol.inference_batch_size, spec.jit)
    prepare_s = clock() - start
    on_block = output.progress(clock, phase="infer", steps=steps)
    result = blocks.run_pass(predictor, 0, Pace(), clock, on_block)
    predict_s = prepare_s + result.seconds
    hits = predictor.predictions().argmax(axis=1) == labels.argmax(axis=1)
    fields = {
        "startup_s": startup_s,
        "model_load_s": model_load_s,
        "first_predict_s": result.first_s,
        "predict_s": predict_s,
        "total_inference_s": model_load_s + predict_s,
        "images": len(images),
        "accuracy": float(hits.mean()),
        "blocks": {"predict": [asdict(block) for block in result.blocks]},
        **output.surroundings(backend, model, spec.jit),
    }
    output.write_timing(folders.out, "infer", fields)
    output.emit({"event": "done", "phase": "infer"})
