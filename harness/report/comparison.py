"""A comparison of two runs as text: for a terminal, a document, a spreadsheet or a program."""

from __future__ import annotations

import csv as csv_module
import io
from collections import Counter
from collections.abc import Callable
from functools import partial

from tabulate import tabulate

from harness.analysis.comparison import Compared, Comparison, Side, Verdict
from harness.analysis.gate import Gate
from harness.analysis.ratio import ENOUGH_REPEATS, METHOD
from harness.analysis.sameness import BASE, NEW, Sameness
from harness.analysis.statistics import CONFIDENCE
from harness.report.baselines import PREDICTED, SYNTHETIC
from harness.report.comparison_data import json, rows
from harness.results.run import RunInfo

TITLES = {
    "total_execution_s": "Total execution time in seconds",
    "total_inference_s": "Total inference time in seconds",
    "images_per_s": "Training rate in images per second",
}
RATIO = f"{NEW} / {BASE}"
HEADERS = ("case", BASE, NEW, f"{RATIO} ({CONFIDENCE:.0%})", "verdict", "benchmark")


def render(comparison: Comparison, form: str, gate: Gate | None = None) -> str:
    """The comparison in the format `form`, one of FORMATS; ends without a newline."""
    return FORMATS[form](comparison, gate)


def csv(comparison: Comparison, gate: Gate | None = None) -> str:
    """One line a case."""
    del gate
    found = rows(comparison)
    text = io.StringIO()
    writer = csv_module.DictWriter(text, list(found[0]) if found else ["case"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue().rstrip("\n")


def plain(comparison: Comparison, gate: Gate | None = None) -> str:
    """For a terminal."""
    return _text(comparison, gate, "simple", "{}")


def markdown(comparison: Comparison, gate: Gate | None = None) -> str:
    """For a document."""
    return _text(comparison, gate, "github", "## {}\n")


FORMATS: dict[str, Callable[[Comparison, Gate | None], str]] = {
    "table": plain,
    "markdown": markdown,
    "csv": csv,
    "json": json,
}


def _text(comparison: Comparison, gate: Gate | None, style: str, heading: str) -> str:
    grid = partial(tabulate, tablefmt=style, disable_numparse=True)
    above = "faster" if comparison.more_is_faster else "slower"
    counted = Counter(case.verdict for case in comparison.cases)
    said = ", ".join(f"{counted[v]} {v.value}" for v in Verdict if counted[v])
    parts = [
        grid(
            [_run(BASE, comparison.base), _run(NEW, comparison.new)],
            headers=["", "run", "machine", "started"],
        ),
        "",
        heading.format(f"{TITLES[comparison.value]}: {RATIO}, above 1 is {above}"),
        grid([_row(case) for case in comparison.cases], headers=HEADERS),
        "",
        f"{said or 'no case in either run'}",
        "",
        *(f"- {note}" for note in _notes(comparison)),
    ]
    if gate is not None:
        parts += ["", *gate_lines(gate)]
    return "\n".join(parts)


def _run(name: str, info: RunInfo) -> list[str]:
    started = info.invocations[0].started_at if info.invocations else ""
    return [name, info.run_id, info.machine, started]


def _row(case: Compared) -> list[str]:
    benchmark = "" if case.likeness is None else case.likeness.sameness.value
    return [
        case.id,
        _side(case.base),
        _side(case.new),
        _ratio(case),
        case.verdict.value,
        "" if case.verdict is Verdict.NOT_COMPARABLE else benchmark,
    ]


def _side(side: Side | None) -> str:
    """The mean with its number of repeats, and how the others ended: ``≈104.9* (5), 1 x oom``."""
    if side is None:
        return ""
    ended = [
        f"{n} x {name}" if n > 1 or side.completed else name
        for name, n in Counter(side.endings).items()
    ]
    mark = SYNTHETIC if side.synthetic else ""
    if side.mean is None:
        completed = ["no figure"] if side.completed else []
        return ", ".join(completed + ended) + mark
    about = PREDICTED if side.predicted else ""
    mean = f"{side.mean:.1f}" if side.mean >= 10 else f"{side.mean:.4g}"
    return ", ".join([f"{about}{mean}{mark} ({len(side.figures)})", *ended])


def _ratio(case: Compared) -> str:
    if case.ratio is None:
        return ""
    sides = [side for side in (case.base, case.new) if side is not None]
    about = PREDICTED if any(side.predicted for side in sides) else ""
    shown = f"{about}{case.ratio.value:.3f}"
    if case.ratio.interval is None:
        return shown
    low, high = case.ratio.interval
    return f"{shown} ({low:.3f} to {high:.3f})"


def _notes(comparison: Comparison) -> list[str]:
    """What is not alike, grouped by what it is; then how the verdicts came about."""
    holds_for: dict[str, list[str]] = {}
    for case in comparison.cases:
        for sentence in (*_differences(case), *case.notes):
            holds_for.setdefault(sentence, []).append(case.id)
    everywhere = len(comparison.cases) if len(comparison.cases) > 1 else None
    notes = [
        f"{sentence} ({'all cases' if len(ids) == everywhere else ', '.join(ids)})"
        for sentence, ids in holds_for.items()
    ]
    return notes + _method(comparison) + _marks(comparison)


def _differences(case: Compared) -> list[str]:
    if case.likeness is None or case.likeness.sameness is Sameness.IDENTICAL:
        return []
    differs = "; ".join(str(difference) for difference in case.likeness.differences)
    if case.likeness.sameness is Sameness.COMPARABLE:
        return [f"comparable, but software differs in {differs}"]
    return [f"not comparable: differs in {differs}"]


def _method(comparison: Comparison) -> list[str]:
    notes = []
    if any(case.ratio for case in comparison.cases):
        notes.append(f"how: {METHOD}; (n) is the number of repeats")
    tested = sum(case.verdict.tested for case in comparison.cases)
    if any(case.verdict is Verdict.TOO_FEW for case in comparison.cases):
        notes.append(
            f"{Verdict.TOO_FEW.value}: a verdict needs {ENOUGH_REPEATS} on each side "
            f"(`repeats: {ENOUGH_REPEATS}` in the matrix, better 6)"
        )
    if tested:
        notes.append(
            "faster or slower: the interval excludes 1. Each case is judged by itself: of the "
            f"{tested} with a verdict, {(1 - CONFIDENCE) * tested:.2g} would get a wrong one by "
            "chance if nothing differed. Repeats of one run do not see what changes from run to run"
        )
    return notes


def _marks(comparison: Comparison) -> list[str]:
    sides = [side for case in comparison.cases for side in (case.base, case.new) if side]
    notes = []
    if any(side.predicted for side in sides):
        notes.append(
            f"{PREDICTED} predicted from a measured part: the interval holds how predictions "
            "scatter over the repeats, not how far they may be off together; a prediction's own "
            "interval replaces no repeat"
        )
    if any(side.synthetic for side in sides):
        stood_in = any(r.case.dataset != r.dataset.name for side in sides for r in side.records)
        more = ", which stood in for the dataset that is named" if stood_in else ""
        notes.append(f"{SYNTHETIC} measured on synthetic images{more}")
    return notes


def gate_lines(gate: Gate) -> list[str]:
    """What ``--fail-if-slower`` tested and found, for people."""
    limit = f"{gate.limit * 100:g} %"
    count = len(gate.tested)
    lines = [
        f"--fail-if-slower {limit}: {'passed' if gate.passed else 'FAILED'}",
        f"- tested in {count} case{'' if count == 1 else 's'}: the verdict is slower and the ratio "
        f"itself is more than {limit} beyond 1; in all that are comparable: completed in {BASE} "
        f"and no longer in {NEW}",
    ]
    lines += [f"- slower by more than {limit}: {case.id}" for case in gate.slower]
    for case in gate.failing:
        ended = ", ".join(dict.fromkeys(case.new.endings)) if case.new else ""
        lines.append(f"- completed in {BASE}, not in {NEW} ({ended}): {case.id}")
    if gate.open:
        names = ", ".join(case.id for case in gate.open)
        lines.append(f"- let through, though the interval reaches beyond {limit}: {names}")
    if gate.untested:
        named = ", ".join(f"{case.id} ({case.verdict.value})" for case in gate.untested)
        lines.append(f"- not tested: {named}")
    return lines
