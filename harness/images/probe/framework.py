"""Asks one framework with the workload's own code: ``framework.py NAME WORKLOAD DEVICE REPORT``.

A process for each, so that one that crashes, or takes a GPU's memory, is no matter to the next.
Python 3.8; the workload's modules alone import a framework.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from types import SimpleNamespace


def load_workload(folder: str) -> None:
    """Make the folder the package ``workload``, as its own ``__main__`` does."""
    spec = importlib.util.spec_from_file_location(
        "workload", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["workload"] = package
    spec.loader.exec_module(package)


def main() -> None:
    name, workload, device, report = sys.argv[1:]
    sys.path.pop(0)  # this folder: none of its names may stand in for another's
    load_workload(workload)
    case = SimpleNamespace(
        framework=name,
        device=device,
        device_memory_bytes=None,
        precision="float32",
        deterministic=False,
        seed=0,
    )
    importlib.import_module("workload.frameworks").choose(case)
    backend = importlib.import_module("workload.backend").load(name)
    found = {
        "device": dict(backend.prepare(case)),
        "versions": backend.versions(),
        "peak_device_bytes": backend.peak_device_bytes(),
        "peak_host_bytes": importlib.import_module("workload.machine").peak_host_bytes(),
    }
    with open(report, "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
