"""The project's workload loaded by its path, as inside an image, and small synthetic cases for it.

Imports nothing heavy itself: `load` is for the processes that train.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.workload import contract

FOLDER = Path(__file__).resolve().parents[1] / "harness" / "workload"


def load(*modules: str) -> tuple[Any, ...]:
    """The named modules of the workload, under the package name ``workload``."""
    if "workload" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "workload", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules["workload"] = package
        spec.loader.exec_module(package)
    return tuple(importlib.import_module(f"workload.{name}") for name in modules)


def prepared(spec: dict[str, Any]) -> tuple[Any, Any]:
    """The parsed case and its backend, ready to compute."""
    backends, specs = load("backend", "spec")
    case = specs.parse(spec)
    backend = backends.load(case.framework)
    backend.prepare(case)
    return case, backend


def synthetic_case(
    model: str, train: int, validation: int, batch_size: int, **changes: Any
) -> dict[str, Any]:
    """A spec of that many synthetic images; `changes` replace fields, of the protocol too."""
    protocol = {
        "name": "smoke",
        "epochs": 1,
        "checkpoint": "none",
        "inference_batch_size": 32,
    }
    protocol.update({name: changes.pop(name) for name in list(protocol) if name in changes})
    part = {"images": None, "labels": None, "first": 0}
    spec: dict[str, Any] = {
        "contract": contract.CONTRACT_VERSION,
        "case_id": "benchmark",
        "framework": "tensorflow",
        "model": model,
        "parameters": None,
        "weights": "random",
        "weights_files": {},
        "dataset": {
            "name": "synthetic",
            "synthetic": True,
            "seed": 3,
            "train": {**part, "count": train},
            "test": {**part, "count": validation},
        },
        "batch_size": batch_size,
        "precision": "float32",
        "jit": False,
        "deterministic": False,
        "seed": 1,
        "measure": "full",
        "budget_s": None,
        "protocol": protocol,
        "device": "cpu",
        "device_memory_bytes": None,
    }
    return {**spec, **changes}


def in_a_child(
    script: str, arguments: Sequence[str], python: str = sys.executable
) -> dict[str, Any]:
    """What `script` prints last, as JSON, from a fresh process of this or another interpreter.

    Raises SystemExit with the end of its standard error where it fails.
    """
    done = subprocess.run(
        [python, script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    if done.returncode != 0:
        raise SystemExit(f"{Path(script).name} failed:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(told, dict)
    return told
