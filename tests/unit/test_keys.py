"""Each ingredient of a key changes it, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.identity import SOFTWARE, case_key, software_key
from harness.catalog import datasets
from harness.host.gpus import CPU
from harness.images import ImageHere
from harness.matrix import expand, parse
from harness.model import Case, Device, ImageIdentity, PlannedCase
from harness.plan import FoundData, Resolved, plan

MATRIX = "axes: {model: [model-a], dataset: [synthetic]}\n"
VERSIONS = {name: f"{name} 1" for name in SOFTWARE}


def case_of(text: str = "") -> Case:
    return expand(parse(MATRIX + text))[0]


def planned(case: Case, device: Device = CPU, image: str = "sha256:1") -> PlannedCase:
    resolved = Resolved(
        devices={case.gpu: device},
        data={case.dataset: FoundData(datasets()["synthetic"], "synthetic", None)},
        image_names={case.id: "cpu"},
        images={"cpu": ImageHere(image, ImageIdentity(reference=image, digest=image))},
    )
    return plan([case], resolved)[0]


INGREDIENTS = dict(planned(case_of()).ingredients)


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case list():
            return [*value, "x"]
        case dict():
            return {**value, "x": 1}
    raise TypeError(value)


@pytest.mark.parametrize("name", INGREDIENTS)
def test_each_ingredient_changes_the_case_key(name: str) -> None:
    other = {**INGREDIENTS, name: changed(INGREDIENTS[name])}
    assert case_key(other) != case_key(INGREDIENTS)


@pytest.mark.parametrize("name", INGREDIENTS["protocol"])
def test_each_setting_of_the_protocol_changes_the_case_key(name: str) -> None:
    protocol = INGREDIENTS["protocol"]
    other = {**INGREDIENTS, "protocol": {**protocol, name: changed(protocol[name])}}
    assert case_key(other) != case_key(INGREDIENTS)


@pytest.mark.parametrize(
    ("setting", "ingredient"),
    [
        ("batch_size: 65", "batch_size"),
        ("precision: mixed_float16", "precision"),
        ("jit: true", "jit"),
        ("deterministic: true", "deterministic"),
        ("framework: jax", "framework"),
        ("protocol: smoke", "protocol"),
    ],
)
def test_what_the_matrix_sets_reaches_its_ingredient(setting: str, ingredient: str) -> None:
    other = planned(case_of(f"defaults: {{{setting}}}"))
    assert other.ingredients[ingredient] != INGREDIENTS[ingredient]
    assert other.key != planned(case_of()).key


def test_the_key_is_that_of_the_ingredients_that_are_written_down() -> None:
    one = planned(case_of())
    assert one.key == case_key(one.ingredients)
    assert case_key(dict(reversed(INGREDIENTS.items()))) == one.key


@pytest.mark.parametrize(
    ("device", "image", "gpu"),
    [
        (Device(kind="gpu", name="H100", uuid="GPU-1", vendor="nvidia"), "sha256:1", "auto"),
        (CPU, "sha256:2", "auto"),
        (CPU, "sha256:1", "3"),
        (CPU, "sha256:1", "GPU-1234"),
    ],
)
def test_host_gpu_and_image_do_not_change_the_case_key(
    device: Device, image: str, gpu: str
) -> None:
    here = planned(case_of().model_copy(update={"gpu": gpu}), device, image)
    assert here.key == planned(case_of()).key


@pytest.mark.parametrize("name", SOFTWARE)
def test_each_version_and_effective_setting_changes_the_software_key(name: str) -> None:
    key = software_key(VERSIONS)
    assert software_key({**VERSIONS, name: "2"}) != key
    assert software_key({k: v for k, v in VERSIONS.items() if k != name}) != key


def test_what_is_no_software_does_not_change_the_software_key() -> None:
    assert software_key({**VERSIONS, "host": "a", "gpu": "b", "image": "c"}) == software_key(
        VERSIONS
    )
    assert software_key({}) is None
