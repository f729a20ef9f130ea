"""What sampling costs: the sampler at its rate beside a process that sleeps.

Against the tests' pretended NVML library where a C compiler is here, so that the bindings' part is
counted; a real driver's own time is not. Aim: 0.5 % of one core.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import pairs
from harness.errors import MachineError

CPU_PERCENT = 0.5
LIBRARY = Path(__file__).parents[1] / "tests" / "integration" / "fake_cards.c"


def child(folder: Path, seconds: float) -> None:
    """Print the percentage of one core that this process used while it sampled."""
    from harness.model import Device  # noqa: PLC0415 - the child's alone
    from harness.probes.case import CaseProcesses  # noqa: PLC0415
    from harness.probes.telemetry import Sampler, Subject  # noqa: PLC0415

    device = Device(kind="gpu", uuid="GPU-0", vendor="nvidia")
    case = CaseProcesses(os.getpid())
    subject = Subject(device, case.pids, case.cpu_s, case.periods)
    sampler = Sampler(subject, folder / "telemetry.csv")
    sampler.start()
    time.sleep(1)  # what is imported and opened once is no part of the rate
    before, began = time.process_time(), time.monotonic()
    time.sleep(seconds)
    spent = time.process_time() - before
    pairs.say(str(100 * spent / (time.monotonic() - began)))
    sampler.stop()


def percent(folder: Path, seconds: float) -> float:
    command = [sys.executable, __file__, "--child", str(folder), "--seconds", str(seconds)]
    paths = (str(folder), os.environ.get("LD_LIBRARY_PATH", ""))
    env = {**os.environ, "LD_LIBRARY_PATH": ":".join(filter(None, paths))}
    done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def built(folder: Path) -> None:
    """The pretended library in `folder`. Raises MachineError without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise MachineError("a C compiler is needed for the pretended NVML", "install gcc")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, LIBRARY], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=pairs.at_least_one, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child is not None:
        child(chosen.child, chosen.seconds)
        return 0
    where = pairs.machine()
    with tempfile.TemporaryDirectory() as name:
        built(Path(name))
        used = [percent(Path(name), chosen.seconds) for _ in range(chosen.times)]
    row = pairs.figure("sampling five times a second, of one core", used, "%", CPU_PERCENT)
    return pairs.report("telemetry", where, chosen.times, [row])


if __name__ == "__main__":
    pairs.start(main)
