"""The prediction of measure `quick` against the whole training, on settings a CPU can finish.

Each setting is trained whole, sampled, and trained whole again, in fresh processes. The workload
samples only what would take minutes: here it is made to.
`--write` puts the table into docs/accuracy.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import pairs
from benchmarks.workload import in_a_child, load, synthetic_case
from harness.analysis.prediction import predict_training
from harness.analysis.statistics import CONFIDENCE
from harness.errors import InputError
from harness.runtimes.interpreter import ask
from harness.workload import contract

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
KEPT = DOCUMENT.with_suffix(".json")
"""What was measured, setting by setting: one that is measured again replaces its own alone."""
CLOSE_PERCENT = 10.0
"""What the median error is aimed below."""


@dataclass(frozen=True)
class Setting:
    """A reduced training. `neighbour` is the program that runs beside all of it, if any."""

    train: int
    validation: int
    batch_size: int
    epochs: int
    checkpoint: str = "none"
    model: str = "model-a"
    framework: str = "tensorflow"
    neighbour: str = ""

    def spec(self, measure: str, budget_s: float) -> dict[str, Any]:
        return synthetic_case(
            self.model,
            self.train,
            self.validation,
            self.batch_size,
            epochs=self.epochs,
            checkpoint=self.checkpoint,
            framework=self.framework,
            measure=measure,
            budget_s=budget_s if measure == "quick" else None,
        )

    @property
    def words(self) -> str:
        saved = "" if self.checkpoint == "none" else ", checkpoint"
        beside = f", beside {self.neighbour}" if self.neighbour else ""
        images = f"{self.train:,} + {self.validation:,} images"
        what = f"{self.model} in {self.framework}"
        return f"{what}, {images}, batch {self.batch_size}, {self.epochs} epochs{saved}{beside}"


NEIGHBOURS = {
    "a busy core": "while True: pass",
    "bursts": (
        "import time\n"
        "while True:\n"
        "    end = time.monotonic() + 2\n"
        "    while time.monotonic() < end: pass\n"
        "    time.sleep(3)\n"
    ),
}
"""Programs that somebody else runs on the same machine."""

SAVED = "best_val_accuracy"
SETTINGS = (
    Setting(800, 200, 16, 3),
    Setting(1200, 300, 32, 3),
    Setting(1500, 300, 64, 3),
    Setting(1600, 300, 128, 3),
    Setting(800, 200, 16, 3, SAVED),
    Setting(1200, 300, 32, 3, SAVED),
    Setting(1500, 300, 64, 3, SAVED),
    Setting(1600, 300, 128, 3, SAVED),
    Setting(1000, 200, 32, 3, framework="torch"),
    Setting(1000, 200, 64, 3, SAVED, framework="torch"),
    Setting(160, 32, 16, 3, model="model-b-2021", framework="torch"),
    Setting(120, 16, 8, 3, framework="jax"),
    Setting(1200, 300, 32, 3, neighbour="a busy core"),
    Setting(1200, 300, 32, 3, neighbour="bursts"),
)


@dataclass(frozen=True)
class Comparison:
    """Seconds of one setting's training: predicted, its interval if it has one, and measured.

    `measured` are whole trainings before and after the sample, which took `sampled_s`. `steady` is
    False where the prediction is marked so. `where` tells machine and day.
    """

    setting: Setting
    predicted: float
    interval: tuple[float, float] | None
    measured: tuple[float, ...]
    sampled_s: float
    weak: bool = False
    steady: bool = True
    where: str = ""

    @property
    def truth(self) -> float:
        """The mean of the whole trainings."""
        return statistics.fmean(self.measured)

    @property
    def error_percent(self) -> float:
        return 100 * (self.predicted / self.truth - 1)

    @property
    def floor_percent(self) -> float:
        """How far the same whole training lies from itself: no prediction can be told better."""
        return 100 * (max(self.measured) / min(self.measured) - 1)

    @property
    def inside(self) -> bool:
        return self.interval is not None and self.interval[0] <= self.truth <= self.interval[1]

    @property
    def honest(self) -> bool:
        """Whether the truth is where the prediction says, or it says that it does not know."""
        return self.inside or not self.steady

    def cells(self) -> list[str]:
        """The comparison as a line of the table."""
        low_high = "none" if self.interval is None else "{:.1f} to {:.1f} s".format(*self.interval)
        marks = [m for m, on in (("weak", self.weak), ("unsteady", not self.steady)) if on]
        return [
            self.setting.words,
            f"{self.predicted:.1f} s",
            low_high + (f" ({', '.join(marks)})" if marks else ""),
            ", ".join(f"{seconds:.1f}" for seconds in self.measured) + " s",
            f"{self.error_percent:+.1f} %",
            f"{self.floor_percent:.1f} %",
            "yes" if self.inside else "no",
            f"{self.sampled_s:.0f} s",
        ]


HEADS = ["setting", "predicted", "interval", "measured", "error", "A/A", "inside", "sample took"]


def table(comparisons: Sequence[Comparison], form: str = "simple") -> str:
    """All comparisons, in one of tabulate's forms."""
    from tabulate import tabulate  # noqa: PLC0415 - not needed in the children

    cells = [comparison.cells() for comparison in comparisons]
    return str(tabulate(cells, HEADS, tablefmt=form, disable_numparse=True))


def summary(comparisons: Sequence[Comparison]) -> str:
    """The errors and the intervals in a sentence."""
    errors = [abs(comparison.error_percent) for comparison in comparisons]
    floors = [comparison.floor_percent for comparison in comparisons]
    inside = sum(comparison.inside for comparison in comparisons)
    honest = sum(comparison.honest for comparison in comparisons)
    return (
        f"Median absolute error {statistics.median(errors):.1f} %, largest {max(errors):.1f} %; "
        f"median A/A {statistics.median(floors):.1f} %, largest {max(floors):.1f} %; "
        f"{inside} of {len(errors)} measured totals lie inside the {CONFIDENCE:.0%} interval, "
        f"{honest} do or were marked unsteady."
    )


def run_phase(setting: Setting, measure: str, budget_s: float, python: str) -> dict[str, Any]:
    """``timing-train.json`` of one training in a fresh process of the interpreter `python`."""
    spec = json.dumps(setting.spec(measure, budget_s))
    with tempfile.TemporaryDirectory() as folder:
        in_a_child(__file__, ["--child", spec, "--out", folder], python)
        path = Path(folder) / contract.timing_file("train")
        timing = json.loads(path.read_text("utf-8"))
    assert timing["measured"] == measure
    return dict(timing)


def child(spec: dict[str, Any], out: str) -> None:
    """The workload's phase `train` in this process, sampling whatever is asked quick."""
    frameworks, phases, quick, specs = load("frameworks", "phases", "quick", "spec")
    case = specs.parse(spec)
    frameworks.choose(case)
    (train,) = load("train")
    quick.FULL_BELOW_S = 0.0
    train.run(case, phases.Folders(data="", out=out, weights=None))
    pairs.say("{}")


@contextmanager
def beside(neighbour: str) -> Iterator[None]:
    """With the neighbour of that name at work; with nobody where there is none."""
    if not neighbour:
        yield
        return
    program = subprocess.Popen([sys.executable, "-c", NEIGHBOURS[neighbour]])
    try:
        yield
    finally:
        program.kill()
        program.wait()


def compare(setting: Setting, budget_s: float, python: str, where: str) -> Comparison:
    """Measure one setting whole, quick, and whole again."""
    with beside(setting.neighbour):
        before = run_phase(setting, "full", budget_s, python)
        sample = run_phase(setting, "quick", budget_s, python)
        after = run_phase(setting, "full", budget_s, python)
    found = predict_training(sample)
    return Comparison(
        setting,
        found.values["total_execution_s"],
        found.intervals.get("total_execution_s"),
        (float(before["total_execution_s"]), float(after["total_execution_s"])),
        float(sample["wall_s"]),
        bool(found.weak),
        found.steady,
        where,
    )


def kept() -> dict[Setting, Comparison]:
    """What docs/accuracy.json holds of the settings that there still are."""
    content = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else []
    found = {}
    for one in content:
        one["setting"] = Setting(**one["setting"])
        one["interval"] = tuple(one["interval"]) if one["interval"] else None
        found[one["setting"]] = Comparison(**{**one, "measured": tuple(one["measured"])})
    return {setting: found[setting] for setting in SETTINGS if setting in found}


def write(comparisons: Sequence[Comparison], budget_s: float) -> None:
    """docs/accuracy.json and docs/accuracy.md, with what they had of other settings."""
    known = {**kept(), **{one.setting: one for one in comparisons}}
    whole = [known[setting] for setting in SETTINGS if setting in known]
    KEPT.write_text(json.dumps([asdict(one) for one in whole], indent=1) + "\n", "utf-8")
    DOCUMENT.write_text(document(whole, budget_s), "utf-8")


def document(comparisons: Sequence[Comparison], budget_s: float) -> str:
    """docs/accuracy.md."""
    return f"""# How good the prediction is

Measure `quick` trains a small part and predicts the total (`harness/analysis/prediction.py`).

Against trainings whose every step is known: `python benchmarks/scripted_traces.py` predicts a
thousand of each of six shapes (warm-up, drift, thermal decay, two speeds, a neighbour's bursts) and
prints the errors and how often the interval holds the truth.

Against real ones: here reduced trainings, small enough to be run whole on a CPU, are measured
whole, quick, and whole again, each in a fresh process. The error is that of the prediction against
the mean of both whole ones; A/A is how far these two lie apart, below which no prediction can be
told better. Written by `python benchmarks/quick_against_full.py --write` (`--python torch=PATH` and
`--python jax=PATH` for the other frameworks) from docs/accuracy.json, which it keeps:
{"; ".join(dict.fromkeys(one.where for one in comparisons))}.
Synthetic images; up to {budget_s:g} s for the sample of the training steps.

{table(comparisons, "github")}

{summary(comparisons)}

A setting whose sample takes as long as its training says how good the prediction is, not how much
time it saves: that grows with the training, since the sample does not. With a checkpoint the
interval spans from one save to a save in every epoch, since how often accuracy grows is up to the
learning. "Weak" marks an interval that rests on fewer than ten blocks of a second, as these short
samples give, "unsteady" a sample that disagrees with itself; left to itself, `quick` measures
training steps for 20 to 300 s. What changes between the measurements, such as a neighbour on the
same machine, is in the error too. Bursts: two seconds of every five.
"""


def interpreters(named: Sequence[str]) -> dict[str, str]:
    """By framework, from ``jax=PATH``; TensorFlow's is this one. Raises InputError."""
    found = {"tensorflow": sys.executable}
    for one in named:
        framework, separator, path = one.partition("=")
        if not separator:
            raise InputError(f"--python {one!r} names no framework", "--python torch=PATH")
        found[framework] = path
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="settings whose words hold this")
    parser.add_argument(
        "--python", action="append", default=[], metavar="FRAMEWORK=PATH", help="an interpreter"
    )
    parser.add_argument("--budget", type=float, default=12.0, help="seconds of training steps")
    parser.add_argument("--write", action="store_true", help="write docs/accuracy.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child is not None:
        child(json.loads(chosen.child), chosen.out)
        return 0
    pythons = interpreters(chosen.python)
    for framework, python in pythons.items():
        ask(python).require(framework)
    where = f"{date.today().isoformat()}, {pairs.machine()}"
    comparisons = []
    for setting in SETTINGS:
        if setting.framework not in pythons:
            pairs.say(f"{setting.words}: left out, --python {setting.framework}=PATH runs it")
        elif chosen.only in setting.words:
            python = pythons[setting.framework]
            comparisons.append(compare(setting, chosen.budget, python, where))
            if chosen.write:
                write(comparisons, chosen.budget)
            pairs.say("; ".join(comparisons[-1].cells()))
    if not comparisons:
        raise InputError(f"no setting holds {chosen.only!r}", "leave --only out to see their words")
    pairs.say(f"\nMeasure quick against full\n{where}\n\n{table(comparisons)}")
    pairs.say(f"\n{summary(comparisons)}")
    errors = [abs(comparison.error_percent) for comparison in comparisons]
    return int(statistics.median(errors) > CLOSE_PERCENT)


if __name__ == "__main__":
    pairs.start(main)
