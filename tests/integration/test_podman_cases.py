"""Real TensorFlow in a real Podman."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.catalog import images
from harness.model import Status
from harness.results.reading import find_run, read_run
from tests.conftest import ROOT, run_harness
from tests.integration.own_podman import own_podman
from tests.integration.test_cases import check_figures

pytestmark = pytest.mark.engine


@pytest.mark.usefixtures("image_ids")
def test_a_whole_case(tmp_path: Path) -> None:
    results = tmp_path / "results"
    line = ["matrix", ROOT / "matrices" / "smoke.yaml", "--gpu", "cpu", "--offline"]
    with own_podman(rootless=False) as podman:
        podman.load(images()["cpu"].reference)
        podman.connected()
        ended = run_harness(
            *line, "--runtime", "podman", "--results", results, env={"CONTAINER_HOST": podman.url}
        )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    (record,) = read_run(find_run("latest", results)).records
    assert record.status is Status.OK
    assert record.runtime == "podman"
    assert record.versions["framework"] == "2.17.0"
    check_figures(record)
