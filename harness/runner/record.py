"""From an ended attempt to its record: the timing files read, the judge asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.analysis.identity import software_key
from harness.analysis.prediction import predict_inference, predict_training
from harness.judge import Seen, judge
from harness.model import Device, Exit, Memory, PlannedCase, Record, Status, Timing
from harness.results.run import impersonal, now
from harness.runner.watch import Watch
from harness.workload import contract

Figures = dict[str, dict[str, Any]]
"""The timing file of each phase that finished."""


@dataclass(frozen=True)
class Place:
    """Where an attempt belongs, for its record.

    `beside` tells, once it has ended, which cases other devices measured meanwhile.
    """

    run_id: str
    machine: str
    repeat: int
    attempt: int
    folder: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    beside: Callable[[], tuple[str, ...]] = tuple


@dataclass(frozen=True)
class Ending:
    """How it ended as the runner knows it.

    `trouble` is the runtime's own failure, `transient` where it may pass by itself.
    """

    exit: Exit
    killed_as: Status | None = None
    trouble: str | None = None
    transient: bool = False


def make_record(
    planned: PlannedCase,
    runtime: str,
    place: Place,
    watch: Watch,
    ending: Ending,
) -> Record:
    """The record of an attempt that has ended, from its folder and what was seen of it."""
    figures = read_figures(place.folder)
    status, reason = judge(
        Seen(
            asked=planned.device,
            exit=ending.exit,
            timing=figures,
            missing=tuple(phase for phase in contract.PHASES if phase not in figures),
            memory_events=tuple(watch.memory_events),
            pressure_events=watch.pressure_events,
            last_line=watch.last_line,
            memory_limit=planned.memory_limit,
            killed_as=ending.killed_as,
            trouble=ending.trouble,
        )
    )
    versions = _versions(figures)
    return Record(
        run_id=place.run_id,
        case_id=planned.id,
        case_key=planned.key,
        software_key=software_key(versions),
        repeat=place.repeat,
        attempt=place.attempt,
        beside=place.beside(),
        transient=status is Status.INFRA and ending.transient,
        status=status,
        reason=impersonal(reason),
        case=planned.case,
        image=planned.image,
        dataset=planned.dataset,
        device=_device(planned.device, figures, watch.device),
        timing=_timing(_of_the_device(planned.device, figures)),
        memory=_memory(figures, watch),
        exit=ending.exit,
        runtime=runtime,
        machine=place.machine,
        versions=versions,
        started_at=watch.started_at,
        finished_at=now(),
    )


def read_figures(folder: Path) -> Figures:
    """What the phases left. A file that is no timing file counts as not there."""
    found = {}
    for phase in contract.PHASES:
        try:
            content = json.loads((folder / contract.timing_file(phase)).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and content.get("contract") == contract.CONTRACT_VERSION:
            found[phase] = content
    return found


def _of_the_device(asked: Device, figures: Figures) -> Figures:
    """The figures of the device that was asked for: a CPU's never stand for a GPU's."""
    return {
        phase: content
        for phase, content in figures.items()
        if asked.kind == "cpu" or content.get("device", {}).get("kind") == "gpu"
    }


def _device(asked: Device, figures: Figures, told: Mapping[str, Any] | None) -> Device:
    """The device that really ran, as the workload said; what nobody said is not known."""
    ran = next((content["device"] for content in figures.values() if "device" in content), told)
    if ran is None:
        return Device(kind=None)
    uuid = asked.uuid if ran.get("kind") == "gpu" else None
    return Device(kind=ran.get("kind"), name=ran.get("name"), uuid=uuid)


def _timing(figures: Figures) -> Timing:
    train, infer = figures.get("train", {}), figures.get("infer", {})
    blocks = {**train.get("blocks", {}), **infer.get("blocks", {})}
    trained = predict_training(train) if train.get("measured") == "quick" else None
    inferred = predict_inference(infer) if infer.get("measured") == "quick" else None
    predictions = [found for found in (trained, inferred) if found is not None]
    training = {**train, **(trained.values if trained else {})}
    inference = {**infer, **(inferred.values if inferred else {})}
    return Timing(
        total_execution_s=training.get("total_execution_s"),
        train_s=training.get("train_s"),
        validation_s=training.get("validation_s"),
        checkpoint_s=training.get("checkpoint_s"),
        startup_s=train.get("startup_s"),
        first_step_s=train.get("first_step_s"),
        images_per_s=train.get("images_per_s"),
        total_inference_s=inference.get("total_inference_s"),
        model_load_s=infer.get("model_load_s"),
        predict_s=inference.get("predict_s"),
        predicted=tuple(name for p in predictions for name in p.values),
        intervals={name: pair for p in predictions for name, pair in p.intervals.items()},
        blocks={name: _long_ones(measured) for name, measured in blocks.items()},
        steady=(train.get("heating") or {}).get("steady"),
        weak=tuple(name for p in predictions for name in p.weak),
    )


def _long_ones(blocks: list[dict[str, Any]]) -> int:
    """How many blocks were long enough to stand for something."""
    return sum(block["seconds"] >= contract.MIN_BLOCK_S for block in blocks)


def _memory(figures: Figures, watch: Watch) -> Memory:
    requests = [event.requested_bytes for event in watch.memory_events if event.requested_bytes]
    return Memory(
        pressure_events=watch.pressure_events,
        largest_request_bytes=max(requests, default=None),
        peak_device_bytes=_peak(figures, "peak_device_bytes"),
        peak_host_bytes=_peak(figures, "peak_host_bytes"),
    )


def _peak(figures: Figures, name: str) -> int | None:
    known = [content.get("memory", {}).get(name) for content in figures.values()]
    return max((value for value in known if value is not None), default=None)


def _versions(figures: Figures) -> dict[str, Any]:
    """What the workload says it ran on, with the settings that really held."""
    for content in figures.values():
        return {**content.get("versions", {}), **content.get("effective", {})}
    return {}
