"""A spec that is in order, for the tests to change."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from harness.workload import contract

_PART = {"images": "i.gz", "labels": "l.gz", "first": 0, "count": 10}
_SPEC: dict[str, Any] = {
    "contract": contract.CONTRACT_VERSION,
    "case_id": "a",
    "framework": "tensorflow",
    "model": "model-a",
    "parameters": None,
    "weights": "imagenet",
    "weights_files": {"vgg19": "vgg19.h5"},
    "dataset": {
        "name": "mnist",
        "synthetic": False,
        "seed": None,
        "train": _PART,
        "test": {**_PART, "first": 5},
    },
    "batch_size": 64,
    "precision": "float32",
    "jit": False,
    "deterministic": False,
    "seed": 7,
    "measure": "full",
    "budget_s": None,
    "protocol": {
        "name": "smoke",
        "epochs": 1,
        "checkpoint": "none",
        "inference_batch_size": 32,
    },
    "device": "cpu",
    "device_memory_bytes": None,
}


@pytest.fixture
def document() -> dict[str, Any]:
    """A fresh copy of it, as decoded JSON."""
    return copy.deepcopy(_SPEC)
