"""The engine stopped in the middle of a run, and started again a moment later."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model import Status
from harness.results.reading import read_run
from harness.runtimes.engine import Engine
from tests.conftest import lacking
from tests.faults import stand_in
from tests.faults.own_engine import OwnEngine, own_engine
from tests.faults.test_killed import start, wait_for_the_run

BASE = "harness/stand-in-base:bookworm"
MATRIX = """
axes: {model: [model-a], dataset: [synthetic], batch_size: [8, 16, 32]}
defaults: {protocol: smoke, image: plain}
retries: 5
"""

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.fixture(scope="module")
def place(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    """An engine with an image that has a Python and nothing more, for the stand-in workload."""
    if not engine.client.images.list(name=BASE):
        lacking(f"the image {BASE} is not here: docker/stand-in-base.sh {BASE}")
    folder = tmp_path_factory.mktemp("stopped")
    (folder / "images.toml").write_text(
        f'[images.plain]\nreference = "{BASE}"\nframework = "tensorflow"\n'
    )
    (folder / "matrix.yaml").write_text(MATRIX)
    stand_in.make(folder / "workload", 1.0)
    with own_engine() as own, pytest.MonkeyPatch.context() as patch:
        packed = folder / "base.tar"
        subprocess.run(["docker", "save", "-o", packed, BASE], check=True)
        patch.setenv("DOCKER_HOST", own.url)
        patch.setenv("HARNESS_IMAGES", str(folder / "images.toml"))
        own.connected()
        subprocess.run(["docker", "load", "-q", "-i", packed], check=True, capture_output=True)
        packed.unlink()
        yield own


def test_the_run_goes_on_when_the_engine_is_back(place: OwnEngine, tmp_path: Path) -> None:
    folder = Path(os.environ["HARNESS_IMAGES"]).parent
    process = start(folder, tmp_path)
    run = wait_for_the_run(tmp_path)
    while not list(run.glob("cases/*_b16_*/r1/a1/log.txt")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    time.sleep(1.0)
    place.stop()
    place.start()
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    journal = read_run(run).records
    statuses = Counter(record.status for record in journal)
    assert statuses[Status.OK] == 3, told
    assert statuses[Status.INFRA] >= 1
    assert set(statuses) == {Status.OK, Status.INFRA}, told
    assert all(record.transient for record in journal if record.status is Status.INFRA)
    assert "trying again in" in told
    engine = place.connected()
    assert engine.client.containers.list(all=True, ignore_removed=True) == []
