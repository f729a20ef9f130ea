"""Runs made by hand, for what compares them: no campaign, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.analysis.identity import case_key, software_key
from harness.model import (
    Case,
    DatasetIdentity,
    Device,
    Exit,
    ImageIdentity,
    Memory,
    Record,
    Status,
    Timing,
)
from harness.results.reading import Run
from harness.results.run import JOURNAL, RUN_FILE, Invocation, RunInfo
from tests.unit.runs import MACHINE

MNIST = DatasetIdentity(name="mnist", synthetic=False, sha256="a" * 64)
VERSIONS = {"framework": "2.17.0", "keras": "3.3.2", "numpy": "1.26.4", "jit": False}

Ended = float | Status
"""What a repeat came to: its figure, or the status of one that did not complete."""


def case(**fields: Any) -> Case:
    return Case(
        **{
            "model": "model-a",
            "dataset": "mnist",
            "framework": "tensorflow",
            "image": None,
            "batch_size": 32,
            "precision": "float32",
            "jit": False,
            "deterministic": False,
            "weights": "random",
            "protocol": "seed",
            "measure": "full",
            "overrides": {},
            "gpu": "auto",
            **fields,
        }
    )


def ingredients(of: Case, **fields: Any) -> dict[str, Any]:
    return {
        "workload": "1" * 64,
        "model": of.model,
        "dataset": MNIST.sha256,
        "protocol": {"name": of.protocol, "epochs": 12},
        "batch_size": of.batch_size,
        "precision": of.precision,
        "framework": of.framework,
        "seed": 2021,
        "env": of.overrides.get("env", {}),
        **fields,
    }


def record(of: Case, repeat: int, ended: Ended, **fields: Any) -> Record:
    status = ended if isinstance(ended, Status) else Status.OK
    figures = ("total_execution_s", "total_inference_s", "images_per_s")
    timing = {} if isinstance(ended, Status) else dict.fromkeys(figures, ended)
    versions: Mapping[str, Any] = fields.get("versions", VERSIONS)
    return Record(
        **{
            "run_id": "by-hand",
            "case_id": of.id,
            "case_key": case_key(ingredients(of)),
            "software_key": software_key(versions),
            "repeat": repeat,
            "attempt": 1,
            "status": status,
            "reason": "",
            "case": of,
            "image": ImageIdentity(),
            "dataset": MNIST,
            "device": Device(kind="gpu", name="Some GPU"),
            "timing": Timing(**timing),
            "memory": Memory(),
            "exit": Exit(code=0),
            "runtime": "docker",
            "machine": "machine",
            "versions": versions,
            "started_at": "",
            "finished_at": "",
            **fields,
        }
    )


def repeats(of: Case, *ended: Ended, **fields: Any) -> list[Record]:
    return [record(of, number, one, **fields) for number, one in enumerate(ended, 1)]


def run_of(
    name: str,
    records: Sequence[Record],
    made_of: Mapping[str, dict[str, Any]] | None = None,
    cases: Sequence[Case] | None = None,
) -> Run:
    """A run whose cases are those of `records` where `cases` does not name them."""
    invocation = Invocation(
        started_at="2026-01-01",
        runtime="docker",
        runtime_reason="",
        harness_version="0",
        python="3.11.2",
    )
    info = RunInfo(
        run_id=name,
        machine=f"machine-{name}",
        fingerprint=MACHINE,
        matrix="",
        matrix_sha256="0" * 64,
        cases=tuple(cases or {r.case_id: r.case for r in records}.values()),
        ingredients=dict(made_of or {}),
        invocations=(invocation,),
    )
    return Run(Path(name), info, tuple(records))


def written(run: Run, results: Path) -> Path:
    """The run's folder below `results`, as the campaign leaves it."""
    folder = results / run.info.run_id
    folder.mkdir(parents=True)
    (folder / RUN_FILE).write_text(run.info.model_dump_json(), "utf-8")
    lines = "".join(record.model_dump_json() + "\n" for record in run.records)
    (folder / JOURNAL).write_text(lines, "utf-8")
    return folder
