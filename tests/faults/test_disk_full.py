"""The disk fills up under the journal: one clear error, and the run goes on when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.campaign import resume, run
from harness.errors import MachineError
from harness.model import LaunchSpec
from harness.results.reading import read_run
from harness.runtimes.scripted import Script
from tests.unit.runs import completing, prepared
from tests.unit.test_campaign import ignore
from tests.unit.test_resume import FOUR


@pytest.mark.parametrize("room", [0, 700, 1400, 2800])
def test_no_finished_attempt_is_lost(small_disk: Path, room: int) -> None:
    """The third case leaves only `room` bytes, so that something of it is torn somewhere."""
    filler = small_disk / "filler"
    begun = []

    def script(spec: LaunchSpec) -> Script:
        begun.append(spec.labels["harness.case"])
        if len(begun) == 3:
            fill(filler, room)
        return completing()

    made, _ = prepared(FOUR, script, small_disk / "results")
    with pytest.raises(MachineError) as full:
        run(made, ignore)
    assert "No space left on device" in full.value.message
    assert "free some space" in full.value.next_step
    filler.unlink()
    (folder,) = (small_disk / "results").iterdir()
    before = read_run(folder).standing()
    assert len(before) >= 2
    made, runtime = prepared(FOUR, lambda spec: completing(), small_disk / "results")
    outcome = resume(made, folder, (), ignore)
    after = read_run(folder)
    assert outcome.as_expected
    assert len(after.records) == len(after.standing()) == 4
    assert all(after.standing()[key] == record for key, record in before.items())
    assert len(runtime.attempts) <= 2


def fill(path: Path, room: int) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (4096, 64, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
        file.truncate(max(0, file.tell() - room))
