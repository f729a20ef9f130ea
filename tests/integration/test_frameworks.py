"""Keras's three frameworks: the shipped matrix on the real engine, and the settings in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.model import Status
from harness.results.reading import find_run, read_run
from harness.runtimes.engine import Engine
from tests.conftest import ROOT, run_harness
from tests.integration.test_cases import check_figures
from tests.integration.test_workload import evaluate_in, make_spec

pytestmark = pytest.mark.engine

VERSIONS = {"tensorflow": "2.17.0", "jax": "0.10.2", "torch": "2.13.0+cpu"}
IMAGES = {"jax": "cpu-jax", "torch": "cpu-torch"}

SETTINGS = """
    model = models.build(case, None)
    told = {"effective": framework.effective(case.jit), "device": framework.device(model)}
    told["peak"] = framework.peak_device_bytes()
    told["compute"] = model.layers[1].compute_dtype
    if case.framework == "jax":
        import jax
        images = np.ones((2, 32, 32, 3), "float32")
        lowered = jax.jit(lambda x: model(x, training=False)).lower(images)
        text = lowered.as_text()
        told["convolutions"] = text.count("stablehlo.convolution")
        told["exact"] = text.count("precision_config = [#stablehlo<precision HIGHEST>")
    print(json.dumps(told))
"""


@pytest.mark.usefixtures("image_ids", "no_container_left")
@pytest.mark.timeout(1200)  # XLA computes some of model A's convolutions slowly on a processor
def test_the_shipped_matrix_has_a_column_for_each_framework(tmp_path: Path) -> None:
    results = tmp_path / "results"
    line = ["matrix", ROOT / "matrices" / "frameworks.yaml", "--gpu", "cpu", "--offline"]
    ended = run_harness(*line, "--runtime", "docker", "--results", results, timeout=1100)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    run = read_run(find_run("latest", results))
    assert [record.status for record in run.records] == [Status.OK] * 3
    told = {record.case.framework: record.versions["framework"] for record in run.records}
    assert told == VERSIONS
    tensorflow, *others = run.records
    assert (tensorflow.versions["keras"], tensorflow.versions["numpy"]) == ("3.3.2", "1.26.4")
    assert len({record.versions["keras"] for record in others}) == 1
    assert len({record.case_key for record in run.records}) == 3
    for record in run.records:
        check_figures(record)
    header = next(line for line in ended.stdout.splitlines() if line.startswith("dataset"))
    assert header.split()[1:] == [
        word for name in VERSIONS for word in ("model-a", f"framework={name}")
    ]


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(
    ("precision", "compute"),
    [("float32", "float32"), ("tf32", "float32"), ("mixed_bfloat16", "bfloat16")],
)
def test_settings_come_into_force(
    engine: Engine, image_ids: dict[str, str], name: str, precision: str, compute: str
) -> None:
    deterministic = precision == "tf32"
    changes = {"framework": name, "precision": precision, "deterministic": deterministic}
    told = evaluate_in(engine, image_ids[IMAGES[name]], make_spec(8, **changes), SETTINGS)
    effective: dict[str, Any] = told["effective"]
    assert effective["tf32"] is (precision != "float32")
    assert effective["deterministic"] is deterministic
    assert effective["policy"] == (precision if precision.startswith("mixed") else "float32")
    assert effective["jit"] is (name == "jax")
    assert effective["memory_growth"] is (name == "torch")
    assert told["compute"] == compute
    assert told["device"]["kind"] == "cpu"
    assert told["peak"] is None
    if name == "jax":
        assert told["convolutions"] == 20
        assert (told["exact"] == told["convolutions"]) is (precision == "float32")


@pytest.mark.parametrize("name", IMAGES)
def test_a_gpu_that_is_not_there_is_refused(
    engine: Engine, image_ids: dict[str, str], name: str
) -> None:
    body = """
        try:
            framework.prepare(specs.parse({**json.loads(sys.argv[2]), "device": "gpu"}))
        except RuntimeError as error:
            print(json.dumps(str(error)))
    """
    told = evaluate_in(engine, image_ids[IMAGES[name]], make_spec(8, framework=name), body)
    assert told.startswith("a GPU is asked for, and ")
