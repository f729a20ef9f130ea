"""Each ingredient of a key changes it, and nothing else does."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

from harness.analysis.identity import SOFTWARE, case_key, software_key
from harness.catalog import datasets
from harness.host.gpus import CPU
from harness.images import ImageHere
from harness.matrix import expand, parse
from harness.model import Case, Device, ImageIdentity, PlannedCase
from harness.plan import FoundData, Resolved, plan
from harness.workload.output import surroundings
from tests.unit.workload import fakes

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


@pytest.fixture(params=fakes.FAKES)
def told(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The record's `versions`, as the workload on a framework tells them."""
    return versions_of(request.param)


def versions_of(framework: str) -> dict[str, Any]:
    with fakes.backend_on_fakes(framework, fakes.Device()) as backend:
        model = MagicMock()
        model.layers[-1].bias.value.devices.return_value = [MagicMock()]  # JAX's one
        tells = surroundings(backend, model, False)
    # What no fake knows is some text: the names alone matter here.
    return {name: str(value) for name, value in {**tells["versions"], **tells["effective"]}.items()}


def test_each_version_and_effective_setting_changes_the_software_key(told: dict[str, Any]) -> None:
    key = software_key(told)
    assert {"python", "keras", "jit", "policy", "memory_growth"} <= set(told)
    for name in told:
        assert software_key({**told, name: "another"}) != key, name
        assert software_key({k: v for k, v in told.items() if k != name}) != key, name


def test_the_software_key_holds_nothing_that_no_framework_tells() -> None:
    assert set(SOFTWARE) == {name for framework in fakes.FAKES for name in versions_of(framework)}


def test_what_is_no_software_does_not_change_the_software_key() -> None:
    assert software_key({**VERSIONS, "host": "a", "gpu": "b", "image": "c"}) == software_key(
        VERSIONS
    )
    assert software_key({}) is None
