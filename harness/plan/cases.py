"""Each case with its device, image, data, key and the spec that its workload gets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.analysis.identity import case_key
from harness.catalog import WeightsFile, models, protocols, weights_files
from harness.host.gpus import Gpus, device_of
from harness.images import ImageHere
from harness.model import Case, DatasetIdentity, Device, ImageIdentity, PlannedCase
from harness.plan.data import FoundData, identity, locate_weights, slices
from harness.workload import contract

SEED = 2021


@dataclass(frozen=True)
class Resolved:
    """What the cases' names stand for on this machine.

    `devices` by what a case asks for, `data` by dataset, `image_names` by case id, `images` by
    catalog name; a runtime without images leaves `images` empty. `budget_s` is how long ``quick``
    may measure training steps; None leaves it to the workload. `weights_folder` finds the folder
    with ImageNet's weights.
    """

    devices: Mapping[str, Device]
    data: Mapping[str, FoundData]
    image_names: Mapping[str, str]
    images: Mapping[str, ImageHere]
    budget_s: float | None = None
    weights_folder: Callable[[Mapping[str, WeightsFile]], Path | None] = locate_weights


def workload_folder() -> Path:
    """The code that is mounted into images."""
    return Path(contract.__file__).resolve().parent


@cache
def workload_digest() -> str:
    """SHA-256 over the workload's files: another workload is another benchmark."""
    total = hashlib.sha256()
    for path in sorted(workload_folder().rglob("*.py")):
        name = path.relative_to(workload_folder()).as_posix()
        total.update(f"{name}:{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def plan(cases: Iterable[Case], resolved: Resolved) -> list[PlannedCase]:
    """Planned cases in the order given.

    Of cases that have become the same measurement, all but the first say in `same_as` whose
    figures they share.
    """
    planned = []
    first: dict[tuple[Any, ...], str] = {}
    for case in cases:
        one = _plan_one(case, resolved)
        same = (one.key, one.device, one.image, case.measure)
        if same in first:
            one = replace(one, same_as=first[same])
        else:
            first[same] = case.id
        planned.append(one)
    return planned


def planned_like(planned: PlannedCase, case: Case) -> PlannedCase:
    """A `case` that differs from the planned one in batch, measure and overrides alone."""
    ingredients = {
        **planned.ingredients,
        "batch_size": case.batch_size,
        "overrides": _overrides(case),
        "env": case.overrides.get("env", {}),
    }
    return replace(
        planned,
        case=case,
        key=case_key(ingredients),
        ingredients=ingredients,
        spec={
            **planned.spec,
            "case_id": case.id,
            "batch_size": case.batch_size,
            "measure": case.measure,
            "device_memory_bytes": case.overrides.get("device_memory"),
        },
        env=case.overrides.get("env", {}),
        memory_limit=case.overrides.get("memory_limit"),
    )


def share_out(planned: Iterable[PlannedCase], gpus: Gpus) -> list[PlannedCase]:
    """Let each case that asks for any GPU use every GPU of its device's model."""
    shared = []
    for one in planned:
        alike = tuple(
            device_of(gpu)
            for gpu in gpus.found
            if one.case.gpu == "auto" and gpu.name == one.device.name
        )
        shared.append(replace(one, pool=alike))
    return shared


def _plan_one(case: Case, resolved: Resolved) -> PlannedCase:
    device = resolved.devices[case.gpu]
    found = resolved.data[case.dataset]
    image = resolved.images.get(resolved.image_names[case.id])
    train, test = slices(found.entry, protocols()[case.protocol])
    dataset = identity(found, train, test)
    weights = weights_of(case)
    ingredients = _ingredients(case, dataset, {name: w.md5 for name, w in weights.items()})
    return PlannedCase(
        case=case,
        key=case_key(ingredients),
        ingredients=ingredients,
        spec={
            "contract": contract.CONTRACT_VERSION,
            "case_id": case.id,
            "framework": case.framework,
            "model": case.model,
            "parameters": models()[case.model].parameters,
            "weights": case.weights,
            "weights_files": {name: w.file for name, w in weights.items()},
            "dataset": {
                "name": dataset.name,
                "synthetic": dataset.synthetic,
                "seed": found.entry.seed,
                "train": train.model_dump(),
                "test": test.model_dump(),
            },
            "batch_size": case.batch_size,
            "precision": case.precision,
            "jit": case.jit,
            "deterministic": case.deterministic,
            "seed": SEED,
            "measure": case.measure,
            "budget_s": resolved.budget_s if case.measure == "quick" else None,
            "protocol": _protocol(case),
            "device": device.kind,
            "device_memory_bytes": case.overrides.get("device_memory"),
        },
        device=device,
        image=image.identity if image else ImageIdentity(),
        launch_image=image.id if image else None,
        dataset=dataset,
        data_folder=found.folder,
        weights_folder=resolved.weights_folder(weights) if weights else None,
        env=case.overrides.get("env", {}),
        memory_limit=case.overrides.get("memory_limit"),
    )


def weights_of(case: Case) -> dict[str, WeightsFile]:
    """ImageNet's weights that the case starts from, by their catalog names."""
    if case.weights != "imagenet":
        return {}
    return {name: weights_files()[name] for name in models()[case.model].weights_files}


def _protocol(case: Case) -> dict[str, Any]:
    protocol = protocols()[case.protocol]
    return {
        "name": case.protocol,
        "epochs": protocol.epochs,
        "checkpoint": protocol.checkpoint,
        "inference_batch_size": protocol.inference_batch_size,
    }


def _ingredients(
    case: Case, dataset: DatasetIdentity, weights: Mapping[str, str]
) -> dict[str, Any]:
    """All that makes a case the same benchmark elsewhere: nothing of host, GPU or image."""
    return {
        "workload": workload_digest(),
        "model": case.model,
        "dataset": dataset.sha256,
        "protocol": _protocol(case),
        "overrides": _overrides(case),
        "batch_size": case.batch_size,
        "precision": case.precision,
        "jit": case.jit,
        "deterministic": case.deterministic,
        "framework": case.framework,
        "weights": [case.weights, dict(weights)],
        "seed": SEED,
        "env": case.overrides.get("env", {}),
    }


def _overrides(case: Case) -> dict[str, Any]:
    return {name: value for name, value in case.overrides.items() if name != "env"}
