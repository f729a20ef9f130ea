"""Stands where the workload stands: sleeps as long as the spec says, leaves both timing files."""

import json
import sys
import time
from pathlib import Path


def main(arguments: dict[str, str]) -> None:
    time.sleep(json.loads(Path(arguments["--spec"]).read_text())["sleep_s"])
    for phase in ("train", "infer"):
        content = {"contract": 1, "phase": phase, "device": {"kind": "cpu", "name": "idle"}}
        (Path(arguments["--out"]) / f"timing-{phase}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main(dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True)))
