"""The record of an attempt that no workload was seen to end."""

from __future__ import annotations

from harness.analysis.fit import purpose_of
from harness.model import Exit, Memory, PlannedCase, Record, Status, Timing
from harness.results.files import write_atomic
from harness.results.run import RECORD_FILE, impersonal, now
from harness.runner.record import Place


def lost_record(
    planned: PlannedCase,
    runtime: str,
    place: Place,
    reason: str,
    status: Status = Status.INFRA,
    transient: bool = False,
) -> Record:
    """Write and return the record of an attempt of which nothing is known but `reason`.

    Raises MachineError where the folder cannot be written.
    """
    moment = now()
    record = Record(
        run_id=place.run_id,
        purpose=purpose_of(planned.case),
        case_id=planned.id,
        case_key=planned.key,
        software_key=None,
        repeat=place.repeat,
        attempt=place.attempt,
        transient=transient,
        status=status,
        reason=impersonal(reason),
        case=planned.case,
        image=planned.image,
        dataset=planned.dataset,
        device=planned.device,
        timing=Timing(),
        memory=Memory(),
        exit=Exit(code=None),
        runtime=runtime,
        machine=place.machine,
        versions={},
        started_at=moment,
        finished_at=moment,
    )
    write_atomic(place.folder / RECORD_FILE, record.model_dump_json() + "\n")
    return record
