"""What is settled before Keras is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from harness.workload import frameworks, spec


def settings(document: dict[str, Any], flags: str = "", **changes: Any) -> dict[str, str]:
    return frameworks.environment(spec.parse({**document, **changes}), flags)


def test_keras_runs_on_the_framework_of_the_spec(document: dict[str, Any]) -> None:
    for name in ("tensorflow", "jax", "torch"):
        assert settings(document, framework=name)["KERAS_BACKEND"] == name


def test_a_case_of_the_processor_uses_no_other_device(document: dict[str, Any]) -> None:
    assert settings(document, framework="torch")["KERAS_TORCH_DEVICE"] == "cpu"
    assert settings(document, framework="torch", device="gpu")["KERAS_TORCH_DEVICE"] == "cuda"
    assert settings(document, framework="jax")["JAX_PLATFORMS"] == "cpu"
    assert "JAX_PLATFORMS" not in settings(document, framework="jax", device="gpu")


def test_xla_flags_of_the_case_are_kept(document: dict[str, Any]) -> None:
    of = {"framework": "jax", "device": "gpu"}
    assert "XLA_FLAGS" not in settings(document, "--a=1", **of)
    found = settings(document, "--a=1", **of, deterministic=True)["XLA_FLAGS"]
    assert found == "--a=1 --xla_gpu_deterministic_ops=true"


def test_cublas_is_deterministic_on_request(document: dict[str, Any]) -> None:
    assert "CUBLAS_WORKSPACE_CONFIG" not in settings(document, framework="torch")
    assert "CUBLAS_WORKSPACE_CONFIG" in settings(document, framework="torch", deterministic=True)


@pytest.mark.parametrize(
    ("framework", "hidden"), [("jax", True), ("torch", True), ("tensorflow", False)]
)
def test_tensorflow_cannot_be_imported_where_keras_runs_on_another(
    document: dict[str, Any], framework: str, hidden: bool, tmp_path: Any
) -> None:
    """A TensorFlow that is there (here a stand-in) would take all of the GPU's memory."""
    (tmp_path / "tensorflow.py").write_text("print('taken')")
    program = (
        "import json, sys\n"
        "from harness.workload import frameworks, spec\n"
        "frameworks.choose(spec.parse(json.loads(sys.argv[1])))\n"
        "try:\n    import tensorflow\nexcept ImportError:\n    print('hidden')\n"
    )
    case = json.dumps({**document, "framework": framework})
    done = subprocess.run(
        [sys.executable, "-c", program, case],
        env={"PYTHONPATH": f"{tmp_path}:{':'.join(filter(None, sys.path))}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ("hidden" if hidden else "taken")
