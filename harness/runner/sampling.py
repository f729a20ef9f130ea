"""Telemetry beside an attempt, and what its samples come to in the record."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.analysis.disturbance import disturbance, limited_by
from harness.analysis.telemetry import Sample, Window, summed_up
from harness.model import Device
from harness.probes.case import CaseProcesses
from harness.probes.telemetry import FILE, Sampler, Subject, samples_of


@contextmanager
def sampled(case: CaseProcesses | None, device: Device, folder: Path) -> Iterator[None]:
    """Sample the card and its machine into the folder's telemetry.csv for as long as this lasts."""
    sampler = Sampler(_subject(case, device), folder / FILE)
    sampler.start()
    try:
        yield
    finally:
        sampler.stop()


def _subject(case: CaseProcesses | None, device: Device) -> Subject:
    if case is None:
        return Subject(device)
    return Subject(device, case.pids, case.cpu_s, case.periods)


def answers(
    folder: Path, device: Device, trained: Mapping[str, Any], beside: Collection[str] = ()
) -> dict[str, Any]:
    """The fields of a record that telemetry fills.

    `trained` is the timing file of ``train``, `beside` the cases that this harness measured on
    other devices meanwhile.
    """
    samples = _samples(folder / FILE)
    found = disturbance(samples, device.kind == "gpu", alone=not beside)
    blocks = trained.get("blocks", {}).get("train", ())
    return {
        "telemetry": summed_up(samples, *_trained(blocks)) if samples else None,
        "disturbed": found.disturbed,
        "disturbed_by": found.reasons,
        "limited_by": limited_by(samples),
    }


def _samples(path: Path) -> list[Sample]:
    try:
        return list(samples_of(path))
    except (OSError, csv.Error):
        return []


def _trained(blocks: Iterable[Mapping[str, Any]]) -> tuple[list[Window], int]:
    """When the blocks ran, and the images in them; of those that say when."""
    told = [block for block in blocks if "start" in block]
    windows = [(block["start"], block["start"] + block["seconds"]) for block in told]
    return windows, sum(block["images"] for block in told)
