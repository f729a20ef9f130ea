"""The probe of `images check`, whole, on frameworks that say they see a GPU."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from harness.images.probe import framework as probe
from harness.images.trial import PROBE, WORKLOAD
from tests.unit.workload.fakes import CARD, FAKES, Device, modules


@pytest.mark.parametrize("name", FAKES)
def test_the_workloads_own_code_finds_all_that_it_reads_for_a_gpu(
    name: str, tmp_path: Path
) -> None:
    """The probe makes the case itself: what a backend reads of it, and it lacks, ends it here."""
    report = tmp_path / "found.json"
    line = ["framework.py", name, str(WORKLOAD), "gpu", str(report)]
    with (
        patch.dict(sys.modules, modules(name, Device())),
        patch.dict(os.environ),
        patch.object(sys, "argv", line),
        patch.object(sys, "path", [str(PROBE), *sys.path]),
    ):
        probe.main()
    found = json.loads(report.read_text())
    assert found["device"] == {"kind": "gpu", "name": CARD}
    assert found["versions"]["keras"] == "3.9.0"
    assert found["peak_device_bytes"] is not None
    assert found["peak_host_bytes"] > 0
