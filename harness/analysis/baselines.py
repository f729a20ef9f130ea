"""This machine's records beside published figures: only the same model, data and protocol. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.catalog import Baseline, Figure
from harness.matrix.fields import SAME_WORK_ENV
from harness.model import Case, Record, Status
from harness.units import human_bytes

EXECUTION, INFERENCE = "total_execution_s", "total_inference_s"

SAME_WORK = ("env", "memory_limit")
"""Overrides under which a case may still do its protocol's work; any other makes it another one."""


@dataclass(frozen=True)
class Comparison:
    """A published figure beside one case of this machine; `metric` is EXECUTION or INFERENCE.

    `published` is None where the figure has no time, only how it ended. `here` is the median in
    seconds over `records`, the repeats that completed (never none).
    """

    baseline: Baseline
    figure: Figure
    metric: str
    published: float | None
    here: float
    records: tuple[Record, ...]

    @property
    def case(self) -> Case:
        return self.records[0].case

    @property
    def ratio(self) -> float | None:
        """Published over here: 2.0 means that this machine is twice as fast."""
        if self.published is None or self.here <= 0:
            return None
        return self.published / self.here

    @property
    def predicted(self) -> bool:
        return any(self.metric in record.timing.predicted for record in self.records)

    @property
    def synthetic(self) -> bool:
        """Whether images of the dataset's shapes stood in for it: the same work, marked."""
        return any(record.dataset.synthetic for record in self.records)


def compare(
    records: Iterable[Record], published: Iterable[Baseline], metric: str
) -> list[Comparison]:
    """Every pair of a completed case and a published figure that may stand side by side.

    In the order of the cases, then of the published machines.
    """
    there = list(published)
    found = []
    for case_records in _completed(records).values():
        case = case_records[0].case
        values = [v for r in case_records if (v := getattr(r.timing, metric)) is not None]
        if not values or departures(case):
            continue
        for baseline, figure in _figures(case, there):
            seconds: float | None = getattr(figure, metric)
            # How it ended is told once, where its training time would stand.
            if seconds is not None or (metric == EXECUTION and figure.status is not Status.OK):
                here = statistics.median(values)
                found.append(
                    Comparison(baseline, figure, metric, seconds, here, tuple(case_records))
                )
    return found


def _completed(records: Iterable[Record]) -> dict[str, list[Record]]:
    by_case: dict[str, list[Record]] = {}
    for record in records:
        if record.status.completed:
            by_case.setdefault(record.case_id, []).append(record)
    return by_case


def _figures(case: Case, published: Iterable[Baseline]) -> list[tuple[Baseline, Figure]]:
    return [
        (baseline, figure)
        for baseline in published
        if baseline.protocol == case.protocol
        for figure in baseline.figures
        if (figure.model, figure.dataset) == (case.model, case.dataset)
    ]


def departures(case: Case) -> tuple[str, ...]:
    """What makes the case another work than its protocol's; empty where it is the same."""
    env: Mapping[str, str] = case.overrides.get("env", {})
    other = [name for name in case.overrides if name not in SAME_WORK]
    return tuple(other + [name for name in env if name not in SAME_WORK_ENV])


def not_compared(records: Iterable[Record], published: Sequence[Baseline]) -> tuple[str, ...]:
    """Why completed cases stand beside nothing, one sentence for each reason."""
    reasons = []
    for case_id, (record, *_) in _completed(records).items():
        case = record.case
        if departing := departures(case):
            reasons.append(f"{case_id}: departs from its protocol in {', '.join(departing)}")
        elif not _figures(case, published):
            what = f"{case.model} on {case.dataset} under {case.protocol}"
            reasons.append(f"{what}: nothing was published{_instead(case, published)}")
    return tuple(dict.fromkeys(reasons))


def _instead(case: Case, published: Iterable[Baseline]) -> str:
    """The models that have figures under the protocol of a case whose model has none."""
    there = {f.model for b in published if b.protocol == case.protocol for f in b.figures}
    if not there or case.model in there:
        return ""
    return f"; the figures are for {', '.join(sorted(there))}"


def differences(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """What is known to differ between the published runs and these, one sentence each.

    What holds for some of the cases only names them.
    """
    cases = dict.fromkeys(comparison.case.id for comparison in comparisons)
    holds_for: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        for sentence in _here(comparison):
            holds_for.setdefault(sentence, {})[comparison.case.id] = None
    here = [
        sentence if len(ids) == len(cases) else f"{sentence} ({', '.join(ids)})"
        for sentence, ids in holds_for.items()
    ]
    there = [sentence for comparison in comparisons for sentence in _there(comparison)]
    return tuple(dict.fromkeys([*here, *there]))


def _here(comparison: Comparison) -> list[str]:
    """How this machine's run of the case differs from what was published."""
    baseline, case, record = comparison.baseline, comparison.case, comparison.records[0]
    found = [f"software: {baseline.software} there, {_software(record)} here"]
    if record.device.kind == "cpu":
        found.append("device: a GPU there, the processor here")
    if case.weights != baseline.weights:
        found.append(
            f"weights: {baseline.weights} there, {case.weights} here; a step is the same work, but "
            "accuracy grows otherwise, and checkpoints are saved as it grows"
        )
    if comparison.predicted:
        found.append("measure: all epochs run there, predicted from a measured part here")
    if comparison.synthetic:
        found.append("data: the dataset there, synthetic images of its shapes here: the same work")
    env: Mapping[str, str] = case.overrides.get("env", {})
    if env:
        found.append(f"set here: {', '.join(f'{name}={value}' for name, value in env.items())}")
    if limit := case.overrides.get("memory_limit"):
        found.append(f"memory: limited to {human_bytes(limit)} here")
    return found


def _software(record: Record) -> str:
    versions = record.versions
    keras = f" with Keras {versions['keras']}" if versions.get("keras") else ""
    return f"{record.case.framework} {versions.get('framework') or 'of unknown version'}{keras}"


def _there(comparison: Comparison) -> list[str]:
    """What is peculiar to how the published figure was obtained."""
    baseline, figure = comparison.baseline, comparison.figure
    found = []
    if baseline.tf32_likely and comparison.published is not None:
        now = "on" if comparison.records[0].versions.get("tf32") else "off"
        found.append(f"TF32: likely on there on the {baseline.gpu}, {now} here")
    if comparison.metric == INFERENCE:
        found.append(
            f"inference: {baseline.inference} there, loading + predicting them in a fresh process "
            "here"
        )
        if figure.loaded_after is not None:
            found.append(
                f"inference of {figure.model}: in a process that had already run "
                f"{figure.loaded_after} there, in a fresh one here"
            )
    return found
