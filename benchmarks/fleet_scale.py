"""A fleet at scale: 2,000 cases on 100 scripted hosts through the real executor of a fleet.

Real: the campaign, its lanes, the placing, the parcels, the journal. Scripted: the cluster behind
the executor's port, so that a host sleeps as long as its case lasts and hands back a parcel that
was made before. The matrix is measured twice: at first nobody knows how long a case takes, then the
first run tells. Aim: the makespan at most 1.1 times the lower bound; the rest is told.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks import pairs
from harness import __version__
from harness.campaign import Prepared, Request, prepare_elsewhere, run
from harness.executors.errand import Errand
from harness.executors.ray.fleet import placed_on
from harness.executors.ray.parcel import pack
from harness.executors.ray.port import Ended, Host, Look, Wish, Word
from harness.matrix import expand, parse
from harness.model import Status
from harness.plan.cases import workload_digest
from harness.results.machines import MACHINE_FILE, KnownMachine
from harness.results.run import JOURNAL, RECORD_FILE
from harness.runner import Place, lost_record

CASES, HOSTS, RATIO = 2_000, 100, 1.1
SHORTEST_S, LONGEST_S = 3.0, 6.0
LOG = b"a line of a log such as an ordinary training prints, a hundred times\n" * 100


@dataclass(frozen=True)
class ScriptedFleet:
    """Hosts that measure nothing: `lasts` gives the seconds of each case."""

    count: int
    lasts: Callable[[str], float]
    parcels: Mapping[str, bytes]
    about: str = "scripted hosts"

    def hosts(self) -> list[Host]:
        return [Host(id=f"{n:056x}", name=f"host{n:03}") for n in range(self.count)]

    def look(self, hosts: Sequence[Host]) -> dict[str, Look | str]:
        one = Look(
            hostname="h",
            python="3.11.2",
            harness=__version__,
            workload=workload_digest(),
            token=True,
        )
        return {host.id: one for host in hosts}

    def start(self, host: Host, errand: Errand, wish: Wish) -> ScriptedJob:
        del host, wish
        case = errand.case.id
        return ScriptedJob(time.monotonic() + self.lasts(case), self.parcels[case])

    def sweep(self, hosts: Sequence[Host], labels: Mapping[str, str]) -> list[str]:
        del hosts, labels
        return []


class ScriptedJob:
    def __init__(self, until: float, parcel: bytes) -> None:
        self._until, self._parcel = until, parcel

    def listen(self, wait_s: float) -> Word | None:
        left = self._until - time.monotonic()
        time.sleep(max(0.0, min(left, wait_s)))
        if left > wait_s:
            return None
        return Word(ended=Ended(size=len(self._parcel)))

    def stop(self) -> None:
        self._until = 0.0

    def read(self, offset: int) -> bytes:
        return self._parcel[offset:]

    def end(self) -> None:
        self._parcel = b""


def parcels(prepared: Prepared, lasts: Mapping[str, float], hosts: int) -> dict[str, bytes]:
    """What a host would send of each case: its record, a log of 7 kB, its machine."""
    made = {}
    for number, planned in enumerate(prepared.planned):
        host = f"host{number % hosts:03}"
        with tempfile.TemporaryDirectory() as there:
            folder, file = Path(there), io.BytesIO()
            place = Place("scripted", host, 1, 1, folder)
            record = lost_record(planned, "docker", place, "", Status.OK)
            ended = datetime.fromisoformat(record.started_at) + timedelta(
                seconds=lasts.get(planned.id, 0.0)
            )
            record = record.model_copy(update={"finished_at": ended.isoformat()})
            machine = KnownMachine(
                label=host, machine_hash=host * 8, fingerprint=prepared.fingerprint
            )
            (folder / RECORD_FILE).write_text(record.model_dump_json() + "\n", encoding="utf-8")
            (folder / MACHINE_FILE).write_text(machine.model_dump_json() + "\n", encoding="utf-8")
            (folder / "log.txt").write_bytes(LOG)
            pack(folder, file)
        made[planned.id] = file.getvalue()
    return made


def matrix(cases: int) -> str:
    sizes = ", ".join(str(8 + number) for number in range(cases))
    return (
        f"axes: {{model: [model-a], dataset: [synthetic], batch_size: [{sizes}]}}\n"
        "defaults: {protocol: smoke}\n"
    )


@dataclass(frozen=True)
class Seen:
    """A run's seconds and the least it could have taken; the driver's processor time and memory."""

    took_s: float
    least_s: float
    cpu_s: float
    memory_mb: float


def measured(folder: Path, cases: int, hosts: int, lasts: Mapping[str, float]) -> Seen:
    """Run it below `folder`, where earlier runs are known; a case not in `lasts` takes no time."""
    text = matrix(cases)
    parsed = parse(text)
    request = Request(results=folder, runtime="docker")
    ready: dict[str, bytes] = {}
    fleet = ScriptedFleet(hosts, lambda case: lasts.get(case, 0.0), ready)
    executor = placed_on(fleet, request.means(parsed), None, lambda _text: None)
    prepared = prepare_elsewhere(parsed, text, request, executor, lambda _text: None)
    ready |= parcels(prepared, lasts, hosts)
    began, cpu = time.monotonic(), time.process_time()
    outcome = run(prepared, lambda _event: None)
    took, used = time.monotonic() - began, time.process_time() - cpu
    lines = (outcome.folder / JOURNAL).read_text(encoding="utf-8").count("\n")
    assert lines == len(outcome.records) == cases, "nothing lost, nothing doubled"
    assert outcome.as_expected
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    least = max(sum(lasts.values()) / hosts, *lasts.values(), 0.0)
    return Seen(took, least, used, memory)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=pairs.at_least_one, default=CASES)
    parser.add_argument("--hosts", type=pairs.at_least_one, default=HOSTS)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    where = pairs.machine()
    order = random.Random(chosen.seed)  # noqa: S311 - lengths, not secrets
    ids = [case.id for case in expand(parse(matrix(chosen.cases)))]
    lasts = {case: order.uniform(SHORTEST_S, LONGEST_S) for case in ids}
    with tempfile.TemporaryDirectory() as folder:
        first = measured(Path(folder) / "paced", chosen.cases, chosen.hosts, lasts)
        again = measured(Path(folder) / "paced", chosen.cases, chosen.hosts, lasts)
        fast = measured(Path(folder) / "fast", chosen.cases, chosen.hosts, {})
    what = f"{chosen.cases} cases on {chosen.hosts} hosts, over the bound of {first.least_s:.1f} s"
    most = chosen.cases / fast.took_s
    rows = [
        pairs.figure(f"{what}, at first", [first.took_s / first.least_s], "x", RATIO),
        pairs.figure("the same once one run is there", [again.took_s / again.least_s], "x", RATIO),
        pairs.figure("driver: processor time, of one core", [first.cpu_s / first.took_s], "x"),
        pairs.figure("records a second", [chosen.cases / first.took_s], "/s"),
        pairs.figure("driver: peak memory, hosts and parcels in it", [fast.memory_mb], "MB"),
        pairs.figure("cases that take no time: records a second", [most], "/s"),
        pairs.figure("the same: processor time a case", [1000 * fast.cpu_s / chosen.cases], "ms"),
    ]
    return pairs.report("A fleet at scale", where, 1, rows)


if __name__ == "__main__":
    pairs.start(main)
