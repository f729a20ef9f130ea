"""The phase ``train``: all epochs, with validation and checkpoints, each timed apart."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Dict, List

from . import backend as backends
from . import blocks, contract, data, machine, models, output
from .backend import Backend, Model, Stepper
from .blocks import Block, Pace, Pass
from .phases import Folders, remove
from .spec import Spec

clock = time.perf_counter


@dataclass
class _Epoch:
    train: Pass
    validation: Pass
    checkpoint_s: float = 0.0

    def metrics(self) -> Dict[str, Any]:
        return {
            **self.train.metrics,
            **{"val_" + name: value for name, value in self.validation.metrics.items()},
        }

    def as_json(self) -> Dict[str, Any]:
        """`train_s` and `validation_s` are whole; `partial_s` and `overhead_s` lie in `train_s`."""
        return {
            "train_s": self.train.seconds,
            "partial_s": self.train.partial_s,
            "overhead_s": self.train.overhead_s,
            "validation_s": self.validation.seconds,
            "checkpoint_s": self.checkpoint_s,
            "metrics": self.metrics(),
        }


@dataclass
class _Checkpoint:
    """The saved model: written anew whenever the validation accuracy has grown."""

    path: str
    wanted: bool
    best: float = -1.0
    count: int = 0
    seconds: float = 0.0

    def save_if_better(self, model: Model, accuracy: float, trainer: Stepper) -> float:
        """Seconds that saving took; 0.0 where there was no reason to."""
        if not self.wanted or not accuracy > self.best:
            return 0.0
        self.best = accuracy
        seconds = blocks.time(partial(save, model, self.path), trainer.sync, clock)
        self.count += 1
        self.seconds += seconds
        return seconds

    def as_json(self) -> Dict[str, Any]:
        """`bytes` is one file's size: each replaces the one before."""
        size = os.path.getsize(self.path) if self.count else 0
        return {"count": self.count, "seconds": self.seconds, "bytes": size}


@dataclass
class _Training:
    """A model, its two steppers, and what has been measured so far."""

    spec: Spec
    model: Model
    trainer: Stepper
    validator: Stepper
    checkpoint: _Checkpoint
    paces: List[Pace] = field(default_factory=lambda: [Pace(), Pace()])
    epochs: List[_Epoch] = field(default_factory=list)

    def run_epoch(self, number: int) -> None:
        """Train, validate, save; `number` counts from 0."""
        total = self.spec.protocol.epochs
        on_block = output.progress(
            clock,
            phase="train",
            epoch=number + 1,
            epochs=total,
            steps=_steps(self.trainer),
        )
        trained = blocks.run_pass(self.trainer, number, self.paces[0], clock, on_block)
        validated = blocks.run_pass(self.validator, number, self.paces[1], clock, _nothing_to_tell)
        epoch = _Epoch(trained, validated)
        self.epochs.append(epoch)
        epoch.checkpoint_s = self.checkpoint.save_if_better(
            self.model, validated.metrics["accuracy"], self.trainer
        )
        output.emit(
            {
                "event": "epoch",
                "epoch": number + 1,
                "epochs": total,
                "metrics": epoch.metrics(),
                "train_s": trained.seconds,
                "validation_s": validated.seconds,
            }
        )

    def as_json(self) -> Dict[str, Any]:
        train_s = sum(epoch.train.seconds for epoch in self.epochs)
        validation_s = sum(epoch.validation.seconds for epoch in self.epochs)
        train_blocks = [
            {"epoch": number, **asdict(block)}
            for number, epoch in enumerate(self.epochs, 1)
            for block in epoch.train.blocks
        ]
        validation_blocks = [
            {"epoch": number, **asdict(block)}
            for number, epoch in enumerate(self.epochs, 1)
            for block in epoch.validation.blocks
        ]
        return {
            "first_step_s": self.epochs[0].train.first_s,
            "first_validation_step_s": self.epochs[0].validation.first_s,
            "train_s": train_s,
            "validation_s": validation_s,
            "checkpoint_s": self.checkpoint.seconds,
            "total_execution_s": train_s + validation_s + self.checkpoint.seconds,
            "images_per_s": blocks.rate([b for e in self.epochs for b in e.train.blocks]),
            "epochs": [epoch.as_json() for epoch in self.epochs],
            "blocks": {"train": train_blocks, "validation": validation_blocks},
            "checkpoint": self.checkpoint.as_json(),
            "parameters": self.model.count_params(),
        }


def run(spec: Spec, folders: Folders) -> None:
    """Train as the spec says; leaves the model and ``timing-train.json`` in the out folder."""
    started = machine.process_start()
    backend = backends.load(spec.framework)
    backend.prepare(spec)
    training = _set_up(spec, folders, backend)
    training.trainer.sync()
    startup_s = clock() - started
    output.emit(
        {
            "event": "phase",
            "phase": "train",
            "epochs": spec.protocol.epochs,
            "steps": _steps(training.trainer),
        }
    )
    loop_start = clock()
    for number in range(spec.protocol.epochs):
        training.run_epoch(number)
    wall_s = clock() - loop_start
    fields = training.as_json()
    fields["startup_s"] = startup_s
    fields["wall_s"] = wall_s
    fields["save_s"] = 0.0
    if not training.checkpoint.count:
        # Not in the total: the protocol saves nothing, but the next phase has to load something.
        fields["save_s"] = blocks.time(
            partial(save, training.model, training.checkpoint.path), training.trainer.sync, clock
        )
    fields.update(output.surroundings(backend, training.model, spec.jit))
    output.write_timing(folders.out, "train", fields)
    output.emit({"event": "done", "phase": "train"})


def save(model: Model, path: str) -> None:
    """Save in Keras's own format, optimizer included, as the study's checkpoints do."""
    model.save(path)


def _set_up(spec: Spec, folders: Folders, backend: Backend) -> _Training:
    path = os.path.join(folders.out, contract.MODEL_FILE)
    remove(path)
    model = models.build(spec, folders.weights)
    # Arrays without a name here are freed as soon as the backend has its own copy.
    trainer = backend.trainer(
        model,
        data.load(spec.dataset, spec.dataset.train, folders.data),
        batch_size=spec.batch_size,
        seed=spec.seed,
        jit=spec.jit,
    )
    validator = backend.validator(
        model,
        data.load(spec.dataset, spec.dataset.test, folders.data),
        batch_size=spec.batch_size,
        jit=spec.jit,
    )
    checkpoint = _Checkpoint(path, spec.protocol.checkpoint == "best_val_accuracy")
    return _Training(spec, model, trainer, validator, checkpoint)


def _steps(stepper: Stepper) -> int:
    return -(-stepper.images // stepper.batch_size)


def _nothing_to_tell(step: int, block: Block) -> None:
    del step, block
