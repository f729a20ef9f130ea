"""What the records of probes say of the batch that fits."""

from __future__ import annotations

import pytest

from harness.analysis.fit import Fit, largest_batch
from harness.matrix import expand, parse
from harness.model import (
    DatasetIdentity,
    Device,
    Exit,
    ImageIdentity,
    Memory,
    Record,
    Status,
    Timing,
)

CASE = expand(parse("axes: {model: [model-b], dataset: [mnist]}"))[0]


def probe(batch: int, status: str, purpose: str = "fit") -> Record:
    return Record(
        run_id="r",
        purpose=purpose,
        case_id=f"b{batch}",
        case_key="k",
        software_key=None,
        repeat=1,
        attempt=1,
        status=Status(status),
        reason="",
        case=CASE.model_copy(update={"batch_size": batch}),
        image=ImageIdentity(),
        dataset=DatasetIdentity(name="mnist", synthetic=False, sha256="0" * 64),
        device=Device(kind="cpu"),
        timing=Timing(),
        memory=Memory(),
        exit=Exit(code=0),
        runtime="scripted",
        machine="m",
        versions={},
        started_at="",
        finished_at="",
    )


@pytest.mark.parametrize(
    ("probes", "said"),
    [
        (
            [(16, "ok"), (96, "ok"), (112, "pressure"), (128, "oom")],
            "largest batch 96 (ok), 112 (pressure), 128 OOM",
        ),
        ([(128, "oom"), (96, "ok"), (256, "oom")], "largest batch 96 (ok), 128 OOM"),
        ([(64, "pressure"), (96, "ok"), (128, "oom")], "largest batch 96 (ok), 128 OOM"),
        ([(64, "pressure"), (72, "oom")], "largest batch 64 (pressure), 72 OOM"),
        ([(8, "ok"), (16, "oom_host")], "largest batch 8 (ok), 16 host OOM"),
        ([(8, "oom")], "no batch fits: 8 OOM"),
        ([(4096, "ok")], "largest batch 4096 (ok), no OOM up to there"),
        (
            [(64, "ok"), (96, "failed"), (80, "timeout")],
            "largest batch 64 (ok), no OOM up to there",
        ),
        ([], "no batch was tried to its end"),
    ],
)
def test_the_result_in_a_line(probes: list[tuple[int, str]], said: str) -> None:
    assert str(largest_batch(probe(*found) for found in probes)) == said


def test_what_fits_lies_below_every_batch_that_did_not() -> None:
    fit = largest_batch([probe(32, "ok"), probe(64, "oom"), probe(96, "ok"), probe(80, "pressure")])
    assert fit == Fit(ok=32, oom=64)


def test_measured_records_are_no_probes() -> None:
    records = [probe(32, "ok"), probe(64, "ok", purpose="measure"), probe(48, "oom", "measure")]
    assert largest_batch(records) == Fit(ok=32)


@pytest.mark.parametrize(
    ("fit", "largest"), [(Fit(), None), (Fit(ok=96), 96), (Fit(ok=96, pressure=112), 112)]
)
def test_the_largest_batch_that_completes(fit: Fit, largest: int | None) -> None:
    assert fit.largest == largest
