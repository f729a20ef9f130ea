"""The prediction of measure `quick` against the whole training, on settings a CPU can finish.

Each setting is trained whole and sampled, in fresh processes, one directly after the other and in
an order that alternates. The workload samples only what would take minutes: here it is made to.
`--write` puts the table into docs/accuracy.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import pairs
from benchmarks.workload import in_a_child, load, synthetic_case
from harness.analysis.prediction import predict_training
from harness.analysis.statistics import CONFIDENCE
from harness.runtimes.local import require
from harness.workload import contract

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
CLOSE_PERCENT = 10.0
"""What the median error is aimed below."""


@dataclass(frozen=True)
class Setting:
    """A reduced training of model A."""

    train: int
    validation: int
    batch_size: int
    epochs: int
    checkpoint: str = "none"

    def spec(self, measure: str, budget_s: float) -> dict[str, Any]:
        return synthetic_case(
            "model-a",
            self.train,
            self.validation,
            self.batch_size,
            epochs=self.epochs,
            checkpoint=self.checkpoint,
            measure=measure,
            budget_s=budget_s if measure == "quick" else None,
        )

    @property
    def words(self) -> str:
        saved = "" if self.checkpoint == "none" else ", checkpoint"
        images = f"{self.train:,} + {self.validation:,} images"
        return f"{images}, batch {self.batch_size}, {self.epochs} epochs{saved}"


SETTINGS = (
    Setting(3000, 500, 64, 3),
    Setting(2000, 400, 32, 4),
    Setting(2500, 500, 128, 4),
    Setting(2000, 400, 64, 4, "best_val_accuracy"),
    Setting(3000, 500, 32, 2, "best_val_accuracy"),
    Setting(1500, 300, 128, 4, "best_val_accuracy"),
)


@dataclass(frozen=True)
class Comparison:
    """Seconds of one setting's training: predicted, its interval if it has one, and measured.

    `sampled_s` is how long the sample took to measure.
    """

    setting: Setting
    predicted: float
    interval: tuple[float, float] | None
    measured: float
    sampled_s: float
    weak: bool = False

    @property
    def error_percent(self) -> float:
        return 100 * (self.predicted / self.measured - 1)

    @property
    def inside(self) -> bool:
        return self.interval is not None and self.interval[0] <= self.measured <= self.interval[1]

    def cells(self) -> list[str]:
        """The comparison as a line of the table."""
        low_high = "none" if self.interval is None else "{:.1f} to {:.1f} s".format(*self.interval)
        return [
            self.setting.words,
            f"{self.predicted:.1f} s",
            low_high + (" (weak)" if self.weak else ""),
            f"{self.measured:.1f} s",
            f"{self.error_percent:+.1f} %",
            "yes" if self.inside else "no",
            f"{self.sampled_s:.0f} s",
        ]


HEADS = ["setting", "predicted", "interval", "measured", "error", "inside", "sample took"]


def table(comparisons: Sequence[Comparison], form: str = "simple") -> str:
    """All comparisons, in one of tabulate's forms."""
    from tabulate import tabulate  # noqa: PLC0415 - not needed in the children

    cells = [comparison.cells() for comparison in comparisons]
    return str(tabulate(cells, HEADS, tablefmt=form, disable_numparse=True))


def summary(comparisons: Sequence[Comparison]) -> str:
    """The errors and the intervals in a sentence."""
    errors = [abs(comparison.error_percent) for comparison in comparisons]
    inside = sum(comparison.inside for comparison in comparisons)
    return (
        f"Median absolute error {statistics.median(errors):.1f} %, largest {max(errors):.1f} %; "
        f"{inside} of {len(errors)} measured totals lie inside the {CONFIDENCE:.0%} interval."
    )


def run_phase(setting: Setting, measure: str, budget_s: float) -> dict[str, Any]:
    """``timing-train.json`` of one training in a fresh process."""
    spec = json.dumps(setting.spec(measure, budget_s))
    with tempfile.TemporaryDirectory() as folder:
        in_a_child(__file__, ["--child", spec, "--out", folder])
        path = Path(folder) / contract.timing_file("train")
        timing = json.loads(path.read_text("utf-8"))
    assert timing["measured"] == measure
    return dict(timing)


def child(spec: dict[str, Any], out: str) -> None:
    """The workload's phase `train` in this process, sampling whatever is asked quick."""
    quick, phases, specs, train = load("quick", "phases", "spec", "train")
    quick.FULL_BELOW_S = 0.0
    train.run(specs.parse(spec), phases.Folders(data="", out=out, weights=None))
    pairs.say("{}")


def compare(setting: Setting, number: int, budget_s: float) -> Comparison:
    """Measure one setting both ways."""
    order = ("full", "quick") if pairs.bare_first(number) else ("quick", "full")
    timing = {measure: run_phase(setting, measure, budget_s) for measure in order}
    found = predict_training(timing["quick"])
    return Comparison(
        setting,
        found.values["total_execution_s"],
        found.intervals.get("total_execution_s"),
        float(timing["full"]["total_execution_s"]),
        float(timing["quick"]["wall_s"]),
        bool(found.weak),
    )


def document(comparisons: Sequence[Comparison], where: str, budget_s: float) -> str:
    """docs/accuracy.md."""
    return f"""# How good the prediction is

Measure `quick` trains a small part and predicts the total (`harness/analysis/prediction.py`). Here
reduced trainings of model A, small enough to be run whole on a CPU, are measured both ways, each in
a fresh process. Written by `python benchmarks/quick_against_full.py --write` on
{date.today().isoformat()}; {where};
synthetic images; up to {budget_s:g} s for the sample of the training steps.

{table(comparisons, "github")}

{summary(comparisons)}

A setting whose sample takes as long as its training says how good the prediction is, not how much
time it saves: that grows with the training, since the sample does not. With a checkpoint the
interval spans from one save to a save in every epoch, since how often accuracy grows is up to the
learning. "Weak" marks an interval that rests on fewer than ten blocks of a second, as these short
samples give; left to itself, `quick` measures training steps for 20 to 300 s. What changes between
the two measurements, such as a neighbour on the same machine, is in the error too.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=pairs.at_least_one, default=len(SETTINGS), help="how many of them"
    )
    parser.add_argument("--budget", type=float, default=15.0, help="seconds of training steps")
    parser.add_argument("--write", action="store_true", help="write docs/accuracy.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child is not None:
        child(json.loads(chosen.child), chosen.out)
        return 0
    require("tensorflow")
    where = pairs.machine()
    comparisons = []
    for number, setting in enumerate(SETTINGS[: chosen.settings]):
        comparisons.append(compare(setting, number, chosen.budget))
        pairs.say("; ".join(comparisons[-1].cells()))
    pairs.say(f"\nMeasure quick against full\n{where}\n\n{table(comparisons)}")
    pairs.say(f"\n{summary(comparisons)}")
    if chosen.write:
        DOCUMENT.write_text(document(comparisons, where, chosen.budget), "utf-8")
    errors = [abs(comparison.error_percent) for comparison in comparisons]
    return int(statistics.median(errors) > CLOSE_PERCENT)


if __name__ == "__main__":
    pairs.start(main)
