"""Which batch fits, from the records of probes alone (those of purpose ``fit``)."""

from __future__ import annotations

from collections.abc import Iterable

from harness.model import Case, Frozen, Limits, Record, Status
from harness.workload import contract

PURPOSE = "fit"
"""What a probe's record carries: it is no measurement of the study."""

MEASURED = "measure"
"""What every other record carries."""

OUT_OF_MEMORY = (Status.OOM, Status.OOM_HOST)


def purpose_of(case: Case) -> str:
    """What a case's record is for."""
    return PURPOSE if case.measure == contract.FIT else MEASURED


class Fit(Frozen):
    """Batch sizes, in images; None where no probe ended so.

    `ok` is the largest that ran without a memory event, `pressure` the largest above it that ran
    although an allocator had to refuse something, `oom` the smallest that did not run: `host`
    where it was the host's memory (or the container's) that was short and not the device's.
    """

    ok: int | None = None
    pressure: int | None = None
    oom: int | None = None
    host: bool = False

    @property
    def largest(self) -> int | None:
        """The largest batch that completes; None where none did."""
        return max((size for size in (self.ok, self.pressure) if size is not None), default=None)

    def __str__(self) -> str:
        """Such as "largest batch 96 (ok), 112 (pressure), 128 OOM"."""
        found = [(self.ok, "ok"), (self.pressure, "pressure")]
        fits = ", ".join(f"{size} ({how})" for size, how in found if size is not None)
        ends = f"{self.oom} {'host ' if self.host else ''}OOM" if self.oom is not None else ""
        if not fits:
            return f"no batch fits: {ends}" if ends else "no batch was tried to its end"
        return f"largest batch {fits}, {ends or 'no OOM up to there'}"


def but_for_the_batch(case: Case) -> Case:
    """What the probes of one search have in common."""
    overrides = {name: value for name, value in case.overrides.items() if name != "batch_size"}
    return case.model_copy(
        update={"batch_size": 1, "overrides": overrides, "limits": Limits(), "tags": ()}
    )


def largest_batch(records: Iterable[Record]) -> Fit:
    """What the probes among `records` found; those that ended otherwise say nothing.

    All have to be of one case but for the batch. What is said to fit lies below every batch that
    ran out of memory: where chance has a say, the smaller is the one to rely on.
    """
    probes = [record for record in records if record.purpose == PURPOSE]
    failed = [probe for probe in probes if probe.status in OUT_OF_MEMORY]
    smallest = min(failed, key=lambda probe: probe.case.batch_size, default=None)
    oom = smallest.case.batch_size if smallest is not None else None
    ok, pressure = (
        max(
            (
                probe.case.batch_size
                for probe in probes
                if probe.status is status and (oom is None or probe.case.batch_size < oom)
            ),
            default=None,
        )
        for status in (Status.OK, Status.PRESSURE)
    )
    return Fit(
        ok=ok,
        pressure=pressure if pressure is not None and pressure > (ok or 0) else None,
        oom=oom,
        host=smallest is not None and smallest.status is Status.OOM_HOST,
    )
