"""The Dockerfiles on vendors' images, built on images of ours that stand in for them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator

import pytest
from docker.errors import ImageNotFound

from harness.catalog import ImageEntry, images
from harness.errors import NoImageError
from harness.images import build
from harness.images.build import BuildSettings
from harness.runtimes.engine import Engine
from tests.conftest import lacking

pytestmark = pytest.mark.engine

StandIn = Callable[..., str]

# What the vendor's image has of its own: a framework, an older pin that Keras can live with, a
# constraint file that pip reads, an entrypoint, root as its user.
STAND_IN = """
FROM {image}
USER 0:0
RUN pip uninstall --quiet --yes keras namex optree ml_dtypes h5py
RUN mkdir -p /etc/pip && echo 'h5py<3.16' > /etc/pip/constraint.txt
ENV PIP_CONSTRAINT=/etc/pip/constraint.txt
{more}
"""

# An older package, pretended in its metadata: a stand-in needs no network.
OLDER = "RUN sed -i 's/^Version: .*/Version: {version}/' /opt/harness/lib/*/*/{name}-*/METADATA"


def entry(name: str) -> ImageEntry:
    """The catalog's, under a name of the test's own."""
    return images()[name].model_copy(update={"reference": f"harness/test-{name}:1"})


@pytest.fixture
def make(engine: Engine) -> Iterator[StandIn]:
    """Builds a Dockerfile's text, and removes what the test made."""
    made = ["harness/test-torch-26.08:1", "harness/test-jax-25.08:1"]
    made += ["harness/test-tensorflow-rocm:1", "harness/test-tensorflow-25.02-user:1"]

    def stand_in(name: str, more: str = "", template: str = STAND_IN) -> str:
        text = template.format(image=images()[name].reference, more=more)
        reference = f"harness/test-base-{name}:1"
        made.append(reference)
        try:
            engine.client.images.get(images()[name].reference)
        except ImageNotFound:
            lacking(f"the image {name} is not here: harness images build {name}")
        engine.client.images.build(
            fileobj=io.BytesIO(text.encode()), tag=reference, network_mode="none", rm=True
        )
        return reference

    yield stand_in
    for reference in reversed(made):
        if engine.client.images.list(reference):
            engine.client.images.remove(reference, force=True)


def build_on(engine: Engine, wanted: ImageEntry, base: str) -> list[str]:
    said: list[str] = []
    settings = BuildSettings(base, BuildSettings.from_environment().network)
    build(engine, "tried", wanted, said.append, settings)
    return said


def versions(engine: Engine, reference: str) -> dict[str, str]:
    listed = engine.client.containers.run(
        reference, ["pip", "list", "--format=json"], remove=True, network_mode="none"
    )
    return {found["name"].lower(): found["version"] for found in json.loads(listed)}


@pytest.mark.parametrize(("name", "base"), [("torch-26.08", "cpu-torch"), ("jax-25.08", "cpu-jax")])
def test_keras_is_added_and_what_the_image_held_stays(
    engine: Engine, make: StandIn, name: str, base: str
) -> None:
    stand_in = make(base, OLDER.format(name="rich", version="13.9.4"))
    before = versions(engine, stand_in)
    assert "keras" not in before
    wanted = entry(name)
    said = build_on(engine, wanted, stand_in)
    assert f"Keras 3.15.1 on {wanted.framework}" in said
    assert "rich 13.9.4 (the image's own)" in said
    after = versions(engine, wanted.reference)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"keras", "namex", "optree", "ml_dtypes", "h5py"}
    assert after["h5py"].startswith("3.15")  # the image's constraint file, not our pin
    config = engine.client.api.inspect_image(wanted.reference)["Config"]
    assert config["User"] == "1000:1000"
    assert config["Labels"]["harness.framework"] == wanted.framework
    assert "keras==3.15.1" in config["Labels"]["harness.pins"]
    assert config["Labels"]["org.opencontainers.image.base.name"] == stand_in


def test_a_pin_that_would_have_to_be_touched_fails_the_build(engine: Engine, make: StandIn) -> None:
    """optree needs a newer typing_extensions than this image holds."""
    stand_in = make("cpu-torch", OLDER.format(name="typing_extensions", version="4.5.0"))
    with pytest.raises(NoImageError) as refused:
        build_on(engine, entry("torch-26.08"), stand_in)
    assert "pip cannot add these packages beside what the image holds" in refused.value.message
    assert engine.client.images.list("harness/test-torch-26.08:1") == []


def test_a_tensorflow_image_keeps_the_keras_it_has(engine: Engine, make: StandIn) -> None:
    as_root = "FROM {image}\nUSER 0:0\n{more}"
    stand_in = make("cpu", template=as_root)
    before = versions(engine, stand_in)
    for name in ("tensorflow-rocm", "tensorflow-25.02-user"):
        wanted = entry(name)
        assert "Keras 3.3.2 on tensorflow" in build_on(engine, wanted, stand_in)
        assert versions(engine, wanted.reference) == before
        assert engine.client.api.inspect_image(wanted.reference)["Config"]["User"] == "1000:1000"
