"""What must be settled before Keras is imported: which framework it runs on. Standard library."""

from __future__ import annotations

import os
import sys
from typing import Dict

from .spec import Spec

# Keras imports TensorFlow where it can, whatever it runs on, and TensorFlow takes all of a GPU.
HIDDEN = {"tensorflow": (), "jax": ("tensorflow",), "torch": ("tensorflow",)}
"""Modules that a process of each framework cannot import."""

XLA_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def choose(spec: Spec) -> None:
    """Bind this process to the spec's framework and device, for all that it imports later."""
    os.environ.update(environment(spec, os.environ.get("XLA_FLAGS", "")))
    for name in HIDDEN[spec.framework]:
        sys.modules[name] = None  # type: ignore[assignment] # importing it raises ImportError


def environment(spec: Spec, xla_flags: str = "") -> Dict[str, str]:
    """Variables that Keras and the frameworks read when they are imported.

    Args:
        xla_flags: what ``XLA_FLAGS`` holds already; it is kept.
    """
    chosen = {"KERAS_BACKEND": spec.framework}
    if spec.framework == "torch":
        # Without it Keras takes any accelerator it finds, for a case of the processor too.
        chosen["KERAS_TORCH_DEVICE"] = "cuda" if spec.device == "gpu" else "cpu"
        if spec.deterministic:
            chosen["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS has no other way
    if spec.framework == "jax":
        if spec.device == "cpu":
            chosen["JAX_PLATFORMS"] = "cpu"
        if spec.deterministic:
            chosen["XLA_FLAGS"] = (xla_flags + " " + XLA_DETERMINISTIC).strip()
    return chosen
