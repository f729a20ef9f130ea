"""Runs on the scripted runtime: real campaign, real journal, no container."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.campaign import Placed, Prepared
from harness.executors import Inline
from harness.host.fingerprint import Fingerprint
from harness.matrix import expand, parse
from harness.model import Device, Exit, LaunchSpec
from harness.plan import DataFolders, Resolved, locate, plan
from harness.runtimes.scripted import Script, ScriptedRuntime
from harness.workload.contract import event_line, timing_file

CPU = Device(kind="cpu", name="scripted processor")
MACHINE = Fingerprint(
    cpu="Scripted CPU", cpu_count=8, gpus=(), driver=None, ram=16 << 30, storage=1 << 40, system="L"
)


def train(total: float = 100.0, **more: Any) -> dict[str, Any]:
    return {
        "contract": 1,
        "phase": "train",
        "total_execution_s": total,
        "train_s": total * 0.9,
        "validation_s": total * 0.1,
        "checkpoint_s": 0.0,
        "startup_s": 2.0,
        "first_step_s": 1.0,
        "images_per_s": 640.0,
        "blocks": {"train": [{"steps": 3, "seconds": 1.0}] * 4, "validation": []},
        "device": {"kind": "cpu", "name": "scripted processor"},
        "memory": {"peak_device_bytes": None, "peak_host_bytes": 1 << 30},
        "versions": {
            "python": "3.11.2",
            "numpy": "1.26.4",
            "keras": "3.3.2",
            "framework": "2.17.0",
        },
        "effective": {"jit": False, "tf32": False},
        **more,
    }


def infer(total: float = 5.0, **more: Any) -> dict[str, Any]:
    return {
        **train(),
        "phase": "infer",
        "total_inference_s": total,
        "model_load_s": 1.0,
        "predict_s": total - 1.0,
        "blocks": {"predict": [{"steps": 3, "seconds": 1.0}]},
        **more,
    }


def completing(*before: bytes, **figures: dict[str, Any]) -> Script:
    """A script that prints, leaves both timing files and exits 0."""
    files = {"train": train(), "infer": infer(), **figures}
    progress = {
        "event": "progress",
        "phase": "train",
        "epoch": 1,
        "epochs": 2,
        "step": 8,
        "steps": 16,
    }
    lines = [{"event": "phase", "phase": "train"}, {**progress, "images_per_s": 640.0}]
    steps = tuple(event_line(line).encode() + b"\n" for line in lines)
    return Script(
        steps=(*before, *steps),
        files={timing_file(phase): json.dumps(content) for phase, content in files.items()},
    )


def failing(code: int, *printed: bytes) -> Script:
    return Script(steps=printed, exit=Exit(code=code))


def prepared(
    matrix: str, scripts: Callable[[LaunchSpec], Script], results: Path, device: Device = CPU
) -> tuple[Prepared, ScriptedRuntime]:
    """A run of `matrix` whose cases play `scripts`."""
    parsed = parse(matrix)
    cases = expand(parsed)
    folders = DataFolders((results / "no-data",))
    data = {c.dataset: locate(c.dataset, folders, parsed.dataset_fallback) for c in cases}
    resolved = Resolved(
        devices={case.gpu: device for case in cases},
        data=data,
        image_names={case.id: "cpu" for case in cases},
        images={},
    )
    runtime = ScriptedRuntime(scripts)
    made = Prepared(
        matrix=parsed,
        text=matrix,
        cases=tuple(cases),
        planned=tuple(plan(cases, resolved)),
        placed=Placed(Inline(runtime), "the test says so"),
        fingerprint=MACHINE,
        machine="scripted-machine",
        machine_hash="0" * 64,
        results=results,
    )
    return made, runtime
