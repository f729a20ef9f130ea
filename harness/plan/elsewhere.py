"""Cases planned for a machine that has not been looked at: their keys, and what they will need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.catalog import datasets, images
from harness.images import ImageHere
from harness.model import Case, Device, ImageIdentity, PlannedCase
from harness.plan.cases import Resolved, plan
from harness.plan.data import FoundData, standing_in
from harness.plan.here import Means, image_for


def plan_elsewhere(
    cases: Sequence[Case], devices: Mapping[str, Device], means: Means
) -> list[PlannedCase]:
    """The cases with their keys, as a machine will plan them that has their data, or lacks it.

    `devices` by what a case asks for. Nothing can start from these: image, data and device are
    found where a case is placed, and its record says which.
    """
    planned = _planned(cases, devices, means, lambda name: FoundData(datasets()[name], name, None))
    fallback = means.fallback
    if fallback is None:
        return planned
    lacking = _planned(cases, devices, means, lambda name: standing_in(datasets()[name], fallback))
    return [
        replace(one, stand_in_key=other.key) if one.key != other.key else one
        for one, other in zip(planned, lacking, strict=True)
    ]


def _planned(
    cases: Sequence[Case],
    devices: Mapping[str, Device],
    means: Means,
    data: Callable[[str], FoundData],
) -> list[PlannedCase]:
    image_of = {case.id: image_for(case, devices[case.gpu]) for case in cases}
    resolved = Resolved(
        devices=devices,
        data={name: data(name) for name in {case.dataset for case in cases}},
        image_names=image_of,
        images={name: _by_name(name) for name in image_of.values()},
        budget_s=means.budget_s,
        weights_folder=lambda _needed: None,
    )
    return [replace(one, launch_image=None) for one in plan(cases, resolved)]


def _by_name(name: str) -> ImageHere:
    """Tells one image from another, before any machine says which it has."""
    entry = images()[name]
    return ImageHere(name, ImageIdentity(reference=entry.reference, digest=entry.digest))
