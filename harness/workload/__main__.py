"""Start of the workload by path: ``python3 WORKLOAD_DIR --spec FILE --data DIR --out DIR``.

The folder may lie anywhere under any name, so it makes itself the package ``workload``.
"""

import sys

# Python put this folder first on the path; a module of ours must never stand in for another's.
_FOLDER = sys.path.pop(0)
sys.dont_write_bytecode = True  # the folder is mounted read-only

import importlib  # noqa: E402
import importlib.util  # noqa: E402
import os  # noqa: E402


def _import_package(folder: str, name: str) -> None:
    """Import the package that lies in `folder` under the name `name`."""
    spec = importlib.util.spec_from_file_location(
        name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError("no package in %s" % folder)
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    _import_package(os.path.dirname(os.path.abspath(__file__)), "workload")
    sys.exit(importlib.import_module("workload.phases").main(sys.argv[1:]))
