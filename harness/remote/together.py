"""Jobs side by side, each in a thread; one machine's failure is its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from harness.errors import ExitCode, HarnessError
from harness.remote.ending import Ended
from harness.remote.job import Job
from harness.remote.talk import Given

Work = Callable[[int, Job], Ended]
"""What is done for a job and its number."""


def side_by_side(jobs: Sequence[Job], work: Work) -> list[Ended]:
    """What became of each, in their order. After a KeyboardInterrupt they go on there."""
    ended: list[Ended | None] = [None] * len(jobs)

    def one(number: int, job: Job) -> None:
        try:
            ended[number] = work(number, job)
        except Given:
            ended[number] = Ended(job.label, ExitCode.INTERRUPTED, job.arrived, whole=False)
        except HarnessError as error:
            ended[number] = Ended(job.label, error.exit_code, job.arrived, error, whole=False)

    threads = [
        threading.Thread(target=one, args=pair, daemon=True, name=pair[1].label)
        for pair in enumerate(jobs)
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # in pieces, so that a signal is heard
    except KeyboardInterrupt:
        for job in jobs:
            job.leave()
        for thread in threads:
            thread.join(10)  # what had not begun clears away what it had sent
        raise
    return [
        one or Ended(job.label, ExitCode.MACHINE_LACKS, job.arrived, _broke(job), whole=False)
        for job, one in zip(jobs, ended, strict=True)
    ]


def _broke(job: Job) -> HarnessError:
    state = job.state
    step = f"harness attach {state.job}" if state is not None else ""
    return HarnessError(f"following {job.address} failed; its traceback stands above", step)


def worst(ended: Sequence[Ended]) -> int:
    """The exit code of all together."""
    return max((one.code for one in ended), default=ExitCode.OK)
