"""What the workload refuses before it starts anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.workload import spec


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    inner = document
    *folders, last = path.split(".")
    for name in folders:
        inner = inner[name]
    inner[last] = value
    return document


def test_a_spec_becomes_values(document: dict[str, Any]) -> None:
    parsed = spec.parse(document)
    assert parsed.parameters is None
    assert parsed.weights_files == {"vgg19": "vgg19.h5"}
    assert parsed.dataset.test == spec.Part("i.gz", "l.gz", 5, 10)
    assert parsed.protocol.epochs == 1
    assert hash(parsed.dataset) == hash(spec.parse(document).dataset)


def test_a_synthetic_dataset_needs_a_seed_and_no_files(document: dict[str, Any]) -> None:
    part = {"images": None, "labels": None, "first": 0, "count": 3}
    dataset = {"name": "s", "synthetic": True, "seed": 1, "train": part, "test": part}
    assert spec.parse(changed(document, "dataset", dataset)).dataset.train.images is None
    with pytest.raises(spec.SpecError, match="needs a seed"):
        spec.parse(changed(document, "dataset", {**dataset, "seed": None}))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("contract", 99, "contract version 99, this workload knows version 1"),
        ("batch_size", 0, "'batch_size' must be an integer of at least 1"),
        ("batch_size", True, "'batch_size' must be an integer"),
        ("seed", 2**32, "'seed' must be below 4294967296"),
        ("jit", 1, "'jit' must be true or false"),
        ("model", "model-c", "'model' must be one of model-a"),
        ("framework", "mxnet", "'framework' must be one of tensorflow"),
        ("dataset.train.images", "../i.gz", "'images' must be a bare file name"),
        ("dataset.train.images", None, "'images' must be a string"),
        ("weights_files", {"vgg19": "/etc/x"}, "'vgg19' must be a bare file name"),
        ("protocol.epoch", 3, "spec.protocol has unknown fields: epoch"),
        ("steps", 3, "spec has unknown fields: steps"),
        ("dataset", [], "spec.dataset is not an object"),
    ],
)
def test_what_is_not_understood_is_refused(
    document: dict[str, Any], path: str, value: Any, message: str
) -> None:
    with pytest.raises(spec.SpecError, match=message):
        spec.parse(changed(document, path, value))


def test_a_missing_field_is_named(document: dict[str, Any]) -> None:
    del document["protocol"]["epochs"]
    with pytest.raises(spec.SpecError, match=r"spec\.protocol lacks 'epochs'"):
        spec.parse(document)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "spec.json"
    with pytest.raises(spec.SpecError, match="cannot read the spec"):
        spec.read(str(path))
    path.write_text("{")
    with pytest.raises(spec.SpecError, match="is not JSON"):
        spec.read(str(path))
    path.write_text(json.dumps(document))
    assert spec.read(str(path)) == spec.parse(document)


def test_a_trial_of_a_batch_in_a_part_of_the_memory(document: dict[str, Any]) -> None:
    assert spec.parse(document).device_memory_bytes is None
    tried = spec.parse({**document, "measure": "fit", "device_memory_bytes": 6 << 30})
    assert (tried.measure, tried.device_memory_bytes) == ("fit", 6 << 30)
    with pytest.raises(spec.SpecError, match="device_memory_bytes"):
        spec.parse({**document, "device_memory_bytes": 0})
