"""The phase ``train``: all epochs, with validation and checkpoints, each timed apart."""

from __future__ import annotations

import math
import os
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Callable, Dict, List

from . import backend as backends
from . import blocks, contract, data, heat, input_cost, machine, models, output, quick, trial
from .backend import Backend, Model, Stepper, Trainer
from .blocks import Block, Pace, Pass
from .phases import Folders, remove
from .spec import Spec

clock = time.monotonic


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
    trainer: Trainer
    validator: Stepper
    checkpoint: _Checkpoint
    paces: List[Pace] = field(default_factory=lambda: [Pace(), Pace()])
    epochs: List[_Epoch] = field(default_factory=list)

    def train(self, number: int, enough: Callable[[Pass], bool] = blocks.never) -> Pass:
        """The training pass of an epoch, counted from 0."""
        on_block = self.told(number + 1)
        return blocks.run_pass(self.trainer, number, self.paces[0], clock, on_block, enough)

    def told(self, epoch: int) -> Callable[[int, Block], None]:
        """A listener that tells the host of each block of an epoch, counted from 1."""
        epochs, steps = self.spec.protocol.epochs, _steps(self.trainer)
        return output.progress(clock, phase="train", epoch=epoch, epochs=epochs, steps=steps)

    def finish_epoch(self, number: int, trained: Pass) -> None:
        """Validate and save after a training pass."""
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
                "epochs": self.spec.protocol.epochs,
                "metrics": epoch.metrics(),
                "train_s": trained.seconds,
                "validation_s": validated.seconds,
            }
        )

    def run_all(self, first: Pass) -> None:
        """All epochs, of which the first has been trained already."""
        self.finish_epoch(0, first)
        for number in range(1, self.spec.protocol.epochs):
            self.finish_epoch(number, self.train(number))

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
            "measured": "full",
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
        }


def run(spec: Spec, folders: Folders) -> None:
    """Train as the spec says; leaves the model and ``timing-train.json`` in the out folder."""
    started = machine.process_start()
    backend = backends.load(spec.framework)
    output.emit({"event": "device", **backend.prepare(spec)})
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
    fields = _measure(training, backend)
    fields["wall_s"] = clock() - loop_start
    fields["startup_s"] = startup_s
    fields["parameters"] = training.model.count_params()
    fields["save_s"] = 0.0
    if not os.path.exists(training.checkpoint.path):
        # Not in the total: the protocol saves nothing, but the next phase has to load something.
        fields["save_s"] = blocks.time(
            partial(save, training.model, training.checkpoint.path), training.trainer.sync, clock
        )
    fields.update(output.surroundings(backend, training.model, spec.jit))
    output.write_timing(folders.out, "train", fields)
    if spec.measure == "quick":
        fields["input"] = _input_cost(training)
        output.write_timing(folders.out, "train", fields)
    output.emit({"event": "done", "phase": "train"})


def _input_cost(training: _Training) -> Dict[str, Any]:
    """Its blocks, or why there are none: the training is complete, and stands without."""
    try:
        return dict(input_cost.compare(training.trainer, training.paces[0], clock))
    except Exception as error:
        return {"error": "%s: %s" % (type(error).__name__, error)}


def _measure(training: _Training, backend: Backend) -> Dict[str, Any]:
    """Run it all, or under ``quick``, where it would take long, a sample of it."""
    spec = training.spec
    if spec.measure == contract.FIT:
        return _try_out(training)
    first = training.train(
        0, partial(_is_long, training) if spec.measure == "quick" else blocks.never
    )
    if first.complete:
        training.run_all(first)
        return training.as_json()
    return _sample(training, first, backend)


def _try_out(training: _Training) -> Dict[str, Any]:
    """A few steps of training and validation: nothing here is a figure to compare."""
    trained = trial.try_out(training.trainer, clock, training.told(1))
    validated = trial.try_out(training.validator, clock)
    return {
        "measured": contract.FIT,
        "first_step_s": trained.first_s,
        "first_validation_step_s": validated.first_s,
        "blocks": {
            "train": [asdict(block) for block in trained.blocks],
            "validation": [asdict(block) for block in validated.blocks],
        },
    }


def _is_long(training: _Training, so_far: Pass) -> bool:
    """Whether the whole would take too long to be simply run; asked from the second block on."""
    return len(so_far.blocks) > 1 and _projected(training, so_far) >= quick.FULL_BELOW_S


def _projected(training: _Training, so_far: Pass) -> float:
    return quick.projected(
        so_far,
        _steps(training.trainer),
        _steps(training.validator),
        training.spec.protocol.epochs,
    )


def _sample(training: _Training, first: Pass, backend: Backend) -> Dict[str, Any]:
    """Measure a part: steps, validation, ends of passes, saves; the host predicts from it."""
    spec, trainer, validator = training.spec, training.trainer, training.validator
    pace, validation_pace = training.paces
    budget_s = quick.budget(_projected(training, first), spec.budget_s)
    tell = _sampling_told(budget_s)
    heating = heat.heat(trainer, pace, clock, backend.sensors()) if spec.device == "gpu" else None
    train = quick.Sample()
    train.add(first)
    train.blocks.clear()  # a process's first blocks warm it up: they are kept apart
    train.partials += heating.partials if heating is not None else []
    quick.sample_more(trainer, train, pace, clock, quick.Span(budget_s, quick.LEAST_SAMPLE_S), tell)
    validation = quick.Sample()
    share = quick.Span(budget_s * quick.SHARE)
    quick.sample_more(validator, validation, validation_pace, clock, share, _nothing_to_tell)
    saves: List[float] = []
    if training.checkpoint.wanted:
        path = training.checkpoint.path
        saves = quick.time_saves(partial(save, training.model, path), trainer.sync, clock)
    return {
        "measured": "quick",
        "budget_s": budget_s,
        "first_step_s": first.first_s,
        "first_validation_step_s": validation.first_s,
        "images_per_s": blocks.rate(train.blocks),
        "plan": {
            "epochs": spec.protocol.epochs,
            "steps": trainer.images // trainer.batch_size,
            "validation_steps": validator.images // validator.batch_size,
            "checkpoint": spec.protocol.checkpoint,
        },
        "sample": {"train": train.parts(), "validation": validation.parts(), "saves": saves},
        "warm_up": [asdict(block) for block in first.blocks],
        "heating": None if heating is None else heating.as_json(),
        "blocks": {
            "train": [asdict(block) for block in train.blocks],
            "validation": [asdict(block) for block in validation.blocks],
        },
    }


def _sampling_told(budget_s: float) -> Callable[[int, Block], None]:
    """A listener that tells how much of the budget is used, in whole seconds."""
    start = clock()
    tell = output.progress(clock, phase="train", steps=math.ceil(budget_s), sampling=True)
    return lambda _step, block: tell(int(clock() - start), block)


def save(model: Model, path: str) -> None:
    """Save the whole model, optimizer included, as the study's checkpoints do."""
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
