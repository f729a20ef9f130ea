"""The conformance suite's apptainer, with `fake_apptainer.py` in the program's place."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model import Device, LaunchSpec
from tests.integration import subjects, test_conformance
from tests.unit import fake_apptainer


@pytest.fixture
def apptainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subjects.Subject]:
    program = tmp_path / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{Path(fake_apptainer.__file__).read_text('utf-8')}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("HARNESS_TEST_SIF", str(tmp_path / "image.sif"))
    with subjects.apptainer() as subject:
        yield subject


@pytest.mark.parametrize("granted", [True, False])
def test_nobody_is_asked_why_a_process_of_apptainers_was_killed(
    apptainer: subjects.Subject, tmp_path: Path, granted: bool
) -> None:
    """An installation grants a memory limit or refuses it; that it killed is told by neither."""
    (tmp_path / "bin" / "refuses").write_text("" if granted else "--memory")
    folders = [apptainer.folder / name for name in ("workload", "out", "data")]
    for folder in folders:
        folder.mkdir()
    workload, out, data = folders
    spec = LaunchSpec(
        workload=workload,
        out=out,
        data=data,
        weights=None,
        device=Device(kind="cpu"),
        image=apptainer.image,
        env={},
        memory_limit=None,
        labels=test_conformance.LABELS,
    )
    apptainer.rehearse(spec)
    test = test_conformance.test_a_case_that_outgrows_its_memory_is_told_from_any_other_end
    with pytest.raises(pytest.skip.Exception, match="no engine tells why"):
        test(apptainer, spec, "")
