"""The command line with a workload that trains nothing: for faults of the harness itself.

``python -m tests.faults.stand_in WORKLOAD matrix FILE …``. Everything but the two phases is real:
engine, containers, campaign, journal, and the workload's own parent process.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

WORKLOAD = Path(__file__).parents[2] / "harness" / "workload"

PHASE = """
import json, os, time
from . import contract

BLOCKS = {{"train": {{"train": [], "validation": []}}, "infer": {{"predict": []}}}}


def run(spec, folders):
    print(contract.event_line({{"event": "phase", "phase": "{phase}"}}), flush=True)
    time.sleep({seconds})
    figures = {{
        "contract": contract.CONTRACT_VERSION,
        "blocks": BLOCKS["{phase}"],
        "device": {{"kind": "cpu", "name": "nothing was computed"}},
        "total_execution_s": 1.0,
        "total_inference_s": 1.0,
    }}
    path = os.path.join(folders.out, contract.timing_file("{phase}"))
    with open(path + ".tmp", "w") as file:
        json.dump(figures, file)
    os.rename(path + ".tmp", path)
"""


def make(folder: Path, seconds: float) -> Path:
    """The workload with stand-ins for its phases, in `folder`."""
    shutil.copytree(WORKLOAD, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for phase in ("train", "infer"):
        text = PHASE.format(phase=phase, seconds=seconds)
        (folder / f"{phase}.py").write_text(text, encoding="utf-8")
    return folder


def main() -> None:
    from harness import cli
    from harness.executors import inline

    workload = Path(sys.argv.pop(1))
    setattr(inline, "workload_folder", lambda: workload)  # noqa: B010 - it is imported there
    cli.main()


if __name__ == "__main__":
    main()
