"""From an ended attempt to its record: the timing files read, the judge asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.analysis.fit import purpose_of
from harness.analysis.identity import software_key
from harness.analysis.input_cost import input_cost
from harness.analysis.prediction import Prediction, predict_inference, predict_training
from harness.host.salted import salted
from harness.judge import Seen, judge
from harness.model import (
    Device,
    Exit,
    Memory,
    PlannedCase,
    Record,
    ResourceEvent,
    Status,
    Timing,
)
from harness.probes.logs import classify
from harness.results.run import impersonal, now
from harness.runner.sampling import answers
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
    memory: Memory,
) -> Record:
    """The record of an attempt that has ended, from its folder and what was seen of it.

    `memory` is what was seen of it from outside.
    """
    figures = read_figures(place.folder)
    found = watch.findings
    status, reason, resource = judge(
        Seen(
            asked=planned.device,
            exit=ending.exit,
            timing=figures,
            missing=tuple(phase for phase in contract.PHASES if phase not in figures),
            memory_events=found.memory_events,
            pressure_events=found.pressure_events,
            resource=found.resource if ending.trouble is None else _refused(ending.trouble),
            hint=found.hint,
            other_error=found.other_error,
            last_line=watch.last_line,
            memory_limit=planned.memory_limit,
            killed_as=ending.killed_as,
            trouble=ending.trouble,
        )
    )
    versions = _versions(figures)
    beside = place.beside()
    return Record(
        run_id=place.run_id,
        purpose=purpose_of(planned.case),
        case_id=planned.id,
        case_key=planned.key,
        software_key=software_key(versions),
        repeat=place.repeat,
        attempt=place.attempt,
        beside=beside,
        transient=status is Status.INFRA and ending.transient,
        status=status,
        reason=_discreet(impersonal(reason), planned.device),
        resource=resource,
        case=planned.case,
        image=planned.image,
        dataset=planned.dataset,
        device=_device(planned.device, figures, watch.device),
        timing=_timing(_of_the_device(planned.device, figures)),
        memory=_memory(figures, watch, memory),
        **answers(place.folder, planned.device, figures.get("train", {}), beside),
        exit=ending.exit,
        runtime=runtime,
        machine=place.machine,
        versions=versions,
        started_at=watch.started_at,
        finished_at=now(),
    )


def _discreet(reason: str, device: Device) -> str:
    """`reason` without the card's UUID, which an engine's own words may hold."""
    return reason if device.uuid is None else reason.replace(device.uuid, salted(device.uuid))


def _refused(trouble: str) -> ResourceEvent | None:
    """The resource that the runtime's own error speaks of."""
    events = (event for line in trouble.splitlines() for event in classify(line.encode()))
    return next((event for event in events if isinstance(event, ResourceEvent)), None)


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
    one = asked if ran.get("kind") == "gpu" else Device(kind="cpu")
    known_by = None if one.uuid is None else salted(one.uuid)
    return Device(kind=ran.get("kind"), name=ran.get("name"), uuid=known_by, vendor=one.vendor)


def _timing(figures: Figures) -> Timing:
    train, infer = figures.get("train", {}), figures.get("infer", {})
    blocks = {**train.get("blocks", {}), **infer.get("blocks", {})}
    trained = predict_training(train) if train.get("measured") == "quick" else None
    inferred = predict_inference(infer) if infer.get("measured") == "quick" else None
    predictions = [found for found in (trained, inferred) if found is not None]
    fetching = input_cost(train.get("input", {}))
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
        input_ratio=fetching.ratio if fetching else None,
        total_inference_s=inference.get("total_inference_s"),
        model_load_s=infer.get("model_load_s"),
        predict_s=inference.get("predict_s"),
        predicted=tuple(name for p in predictions for name in p.values),
        intervals={
            **{name: pair for p in predictions for name, pair in p.intervals.items()},
            **({"input_ratio": fetching.bounds} if fetching and fetching.bounds else {}),
        },
        blocks={name: _long_ones(measured) for name, measured in blocks.items()},
        steady=_steady(train, trained),
        weak=tuple(name for p in predictions for name in p.weak),
    )


def _steady(train: Mapping[str, Any], trained: Prediction | None) -> bool | None:
    """False where the speed was still changing; None where neither sensors nor a sample tell."""
    if trained is not None and not trained.steady:
        return False
    heating: bool | None = (train.get("heating") or {}).get("steady")
    return heating


def _long_ones(blocks: list[dict[str, Any]]) -> int:
    """How many blocks were long enough to stand for something."""
    return sum(block["seconds"] >= contract.MIN_BLOCK_S for block in blocks)


def _memory(figures: Figures, watch: Watch, seen: Memory) -> Memory:
    return seen.model_copy(
        update={
            "pressure_events": watch.findings.pressure_events,
            "largest_request_bytes": watch.findings.largest_request,
            "peak_device_bytes": _peak(figures, "peak_device_bytes"),
            "peak_host_bytes": _peak(figures, "peak_host_bytes"),
        }
    )


def _peak(figures: Figures, name: str) -> int | None:
    known = [content.get("memory", {}).get(name) for content in figures.values()]
    return max((value for value in known if value is not None), default=None)


def _versions(figures: Figures) -> dict[str, Any]:
    """What the workload says it ran on, with the settings that really held."""
    for content in figures.values():
        return {**content.get("versions", {}), **content.get("effective", {})}
    return {}
