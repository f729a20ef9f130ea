"""Stands where the workload stands: prints and sleeps as the spec says, leaves timing files."""

import json
import sys
import time
from pathlib import Path

LINE = (
    b"%06d/938 - ETA: 1:02 - loss: 0.1234 - accuracy: 0.9876 - 12ms/step - "
    b"one line of very many lines of a log that is loud\n"
)
WARNING = (
    b"W tensorflow/core/common_runtime/bfc_allocator.cc:243] Allocator (GPU_0_bfc) ran out of "
    b"memory trying to allocate 3.42GiB with freed_by_count=0. The caller indicates that this is "
    b"not a failure, but may mean that there could be performance gains if more memory were "
    b"available.\n"
)


def shout(megabytes: int) -> None:
    """Print so many megabytes, and one memory warning in each."""
    lines = b"".join(LINE % number for number in range(10**6 // len(LINE % 0)))
    for _ in range(megabytes):
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.write(WARNING)
    sys.stdout.buffer.flush()


def main(arguments: dict[str, str]) -> None:
    spec = json.loads(Path(arguments["--spec"]).read_text())
    shout(spec.get("print_mb", 0))
    time.sleep(spec["sleep_s"])
    for phase in ("train", "infer"):
        content = {"contract": 1, "phase": phase, "device": {"kind": "cpu", "name": "idle"}}
        (Path(arguments["--out"]) / f"timing-{phase}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main(dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True)))
