"""Stands where the workload stands in a container, and writes down what it finds there.

Standard library, Python 3.8. Started as the workload is: ``--data`` is the folder of the real
workload, whose own code asks each framework; ``found.json`` goes into ``--out``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import Any, Dict, List, Optional

BEGIN = ":::harness-probe begins"
"""Printed first: whatever came before it was the image's own entrypoint."""
FRAMEWORKS = ("tensorflow", "jax", "torch")
SECONDS_EACH = 240


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def refusal(path: str) -> Optional[str]:
    """Why no file can be made in a folder; None where one can."""
    name = os.path.join(path, ".harness-probe")
    try:
        with open(name, "w") as file:
            file.write("x")
        os.remove(name)
    except OSError as error:
        return error.strerror
    return None


def version_of(module: str) -> Dict[str, str]:
    """A module's version, asked in a process of its own; why not, where it cannot be imported."""
    code = "import %s as m; print(m.__version__)" % module
    return ran([sys.executable, "-c", code])


def ran(command: List[str]) -> Dict[str, str]:
    """``said`` by a process, or the ``error`` that it ended with."""
    try:
        ended = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=SECONDS_EACH,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": "no answer within %d s" % SECONDS_EACH}
    lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    if ended.returncode < 0:
        return {"error": "ended by signal %d" % -ended.returncode}
    if ended.returncode > 0:
        return {"error": lines[-1] if lines else "exit code %d" % ended.returncode}
    return {"said": ended.stdout.decode("utf-8", "replace").strip()}


def framework(name: str, workload: str, out: str, device: str) -> Optional[Dict[str, Any]]:
    """What the workload's own code learns of one framework; None where it is not inside."""
    if find_spec(name) is None:
        return None
    began = time.monotonic()
    report = os.path.join(out, "found-%s.json" % name)
    here = os.path.dirname(os.path.abspath(__file__))
    asked = ran(
        [sys.executable, os.path.join(here, "framework.py"), name, workload, device, report]
    )
    if "error" in asked:
        return asked
    with open(report) as file:
        found: Dict[str, Any] = json.load(file)
    return {**found, "seconds": time.monotonic() - began}


def main() -> None:
    print(BEGIN, flush=True)
    out, workload = option("--out"), option("--data")
    with open(option("--spec")) as file:
        device = json.load(file)["device"]
    places = {"/tmp": "/tmp", "home": os.path.expanduser("~"), "out": out, "root": "/"}
    found = {
        "python": sys.version.split()[0],
        "uid": os.getuid(),
        "gid": os.getgid(),
        "writes": {name: refusal(path) for name, path in places.items()},
        "numpy": version_of("numpy"),
        "frameworks": {name: framework(name, workload, out, device) for name in FRAMEWORKS},
    }
    with open(os.path.join(out, "found.json"), "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
