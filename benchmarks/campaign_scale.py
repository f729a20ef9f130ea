"""A run at scale, on the scripted runtime: going on over 20,000 results, and two GPUs shared out.

Aims: resume over 20,000 finished results within 2 s; the makespan of 40 cases of unequal length on
two devices at most 1.05 times the lower bound.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks import pairs
from harness.campaign import Placed, Prepared, Schedule, resume, run
from harness.executors import Inline
from harness.host.fingerprint import Fingerprint
from harness.matrix import expand, parse
from harness.model import Device, LaunchSpec
from harness.plan import DataFolders, Resolved, locate, plan
from harness.results.run import JOURNAL
from harness.runtimes.scripted import Script, ScriptedRuntime

RESULTS, MOST_S = 20_000, 2.0
CASES, RATIO = 40, 1.05
CARDS = tuple(Device(kind="gpu", name="scripted card", uuid=f"GPU-{n}") for n in (1, 2))
MACHINE = Fingerprint(
    cpu="scripted", cpu_count=2, gpus=(), driver=None, ram=1, storage=1, system="scripted"
)


def prepared(matrix: str, results: Path, scripts: Callable[[LaunchSpec], Script]) -> Prepared:
    """A run of `matrix` on two scripted cards."""
    parsed = parse(matrix)
    cases = expand(parsed)
    resolved = Resolved(
        devices={case.gpu: CARDS[0] for case in cases},
        data={case.dataset: locate(case.dataset, DataFolders(()), None) for case in cases},
        image_names={case.id: "cpu" for case in cases},
        images={},
    )
    planned = tuple(replace(case, pool=CARDS) for case in plan(cases, resolved))
    return Prepared(
        matrix=parsed,
        text=matrix,
        cases=tuple(cases),
        planned=planned,
        placed=Placed(Inline(ScriptedRuntime(scripts)), "a benchmark"),
        fingerprint=MACHINE,
        machine="scripted",
        machine_hash="0" * 64,
        results=results,
    )


def matrix(cases: int, repeats: int) -> str:
    sizes = ", ".join(str(8 + number) for number in range(cases))
    return (
        f"axes: {{model: [model-a], dataset: [synthetic], batch_size: [{sizes}]}}\n"
        f"defaults: {{protocol: smoke}}\nrepeats: {repeats}\n"
    )


def resumed(folder: Path, results: int) -> float:
    """Seconds to go on with a run of which all `results` are done."""
    cases = 20
    made = prepared(matrix(cases, 1), folder, lambda _spec: FAILING)
    first = run(made, lambda _event: None)
    by_case = {record.case_id: record for record in first.records}
    journal = first.folder / JOURNAL
    lines = [
        record.model_copy(update={"repeat": repeat}).model_dump_json()
        for repeat, record in itertools.product(range(1, results // cases + 1), by_case.values())
    ]
    journal.write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = prepared(matrix(cases, results // cases), folder, lambda _spec: FAILING)
    started = time.perf_counter()
    outcome = resume(made, first.folder, (), lambda _event: None)
    seconds = time.perf_counter() - started
    assert len(outcome.records) == results
    assert not made.placed.executor.starter.attempts  # type: ignore[attr-defined]
    return seconds


FAILING = Script()


def makespan(folder: Path, seed: int) -> tuple[float, float]:
    """Seconds that 40 cases took on two cards, and the least they could have taken."""
    order = random.Random(seed)  # noqa: S311 - lengths, not secrets
    lengths = [order.uniform(0.2, 2.0) for _ in range(CASES)]
    by_size = {8 + number: length for number, length in enumerate(lengths)}

    def script(spec: LaunchSpec) -> Script:
        size = int(spec.labels["harness.case"].split("_b")[1].split("_")[0])
        return Script(steps=(by_size[size],))

    before = prepared(matrix(CASES, 1), folder, script)
    run(before, lambda _event: None, schedule=Schedule(parallel=True))
    started = time.perf_counter()
    run(before, lambda _event: None, schedule=Schedule(parallel=True))
    took = time.perf_counter() - started
    return took, max(sum(lengths) / len(CARDS), *lengths)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=pairs.at_least_one, default=RESULTS)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    where = pairs.machine()
    with tempfile.TemporaryDirectory() as folder:
        seconds = resumed(Path(folder) / "resume", chosen.results)
        took, least = makespan(Path(folder) / "makespan", chosen.seed)
    rows = [
        pairs.figure(f"going on with a run of {chosen.results} results", [seconds], "s", MOST_S),
        pairs.figure(
            f"makespan of {CASES} cases on two devices, over the lower bound of {least:.2f} s",
            [took / least],
            "x",
            RATIO,
        ),
    ]
    return pairs.report("A run at scale", where, 1, rows)


if __name__ == "__main__":
    pairs.start(main)
