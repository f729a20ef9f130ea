"""The Python that runs cases without a container: what it is, and what it holds."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import InputError, NoFrameworkError
from harness.runtimes.processes import CALLERS, passed_on

LEAST = (3, 8)
"""The oldest Python that the workload runs on."""

ANSWER_S = 60.0
"""How long an interpreter may take to answer: a cold network disk is slow, a broken one hangs."""


@dataclass(frozen=True)
class Framework:
    """Modules that a framework's cases import, what pip installs for them, and what make does."""

    modules: tuple[str, ...]
    install: str
    make: str
    keras_3: bool = True


FRAMEWORKS = {
    "tensorflow": Framework(
        ("numpy", "tensorflow"),
        "'tensorflow>=2.15'",
        "make local, which adds it to .venv",
        keras_3=False,
    ),
    "jax": Framework(
        ("numpy", "jax", "keras"),
        "jax 'keras>=3'",
        "make local-jax and --python .venv-jax/bin/python",
    ),
    "torch": Framework(
        ("numpy", "torch", "keras"),
        "torch 'keras>=3'",
        "make local-torch and --python .venv-torch/bin/python",
    ),
}
DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "jax", "torch", "keras")

# Looks for modules without importing one; whatever Python it is, it tells its version.
_QUESTION = """
import json, sys
sys.path.pop(0)
told = {"executable": sys.executable, "version": list(sys.version_info[:3])}
if sys.version_info >= (3, 8):
    from importlib import metadata, util
    modules, distributions = (names.split(",") for names in sys.argv[1:3])
    specs = {name: util.find_spec(name) for name in modules}
    told["modules"] = [name for name, spec in specs.items() if spec and spec.origin]
    told["versions"] = {}
    for name in distributions:
        try:
            told["versions"][name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
print(json.dumps(told))
"""


@dataclass(frozen=True)
class Interpreter:
    """`modules` and `versions` (of distributions) are those that were asked for and are there."""

    path: str
    version: tuple[int, ...]
    modules: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> bool:
        return self.path == sys.executable

    def describe(self) -> str:
        """In a few words, for whoever reads the run."""
        held = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.path} (Python {'.'.join(map(str, self.version))}; {held or 'nothing known'})"

    def require(self, framework: str) -> None:
        """Raise NoFrameworkError where it cannot run the framework's cases."""
        needed = FRAMEWORKS[framework]
        name = "this Python environment" if self.own else self.path
        missing = [module for module in needed.modules if module not in self.modules]
        if missing:
            raise NoFrameworkError(f"{name} has no {' and no '.join(missing)}", self._step(needed))
        keras = self.versions.get("keras", "3")
        if needed.keras_3 and keras.startswith("2."):
            raise NoFrameworkError(
                f"{name} has Keras {keras}, which runs on TensorFlow alone: "
                f"{framework} needs Keras 3",
                self._step(needed),
            )

    def _step(self, needed: Framework) -> str:
        if not self.own:
            return f"{self.path} -m pip install {needed.install}"
        return f"pip install {needed.install}, or {needed.make}"


def surroundings(python: str) -> dict[str, str]:
    """The variables by which a process of `python` finds this machine's programs and packages."""
    shown = passed_on((*CALLERS, "CUDA_HOME"))
    folder = Path(python).parent
    shown["PATH"] = os.pathsep.join([str(folder), *filter(None, [shown.get("PATH")])])
    if (folder.parent / "pyvenv.cfg").is_file():
        shown["VIRTUAL_ENV"] = str(folder.parent)
    # HOME is the attempt's own folder: what `pip install --user` installed is told apart from it.
    return {**shown, "PYTHONUSERBASE": site.getuserbase()}


def ask(python: str = sys.executable) -> Interpreter:
    """What `python` (a path, or a name to look up) is and holds; imports no framework.

    Raises InputError where it is no Python, and NoFrameworkError where it is too old a one.
    """
    found = shutil.which(python)
    if found is None:
        raise InputError(
            f"--python {python}: there is no such program, or it cannot be executed",
            "name the interpreter itself, such as ~/jax/bin/python",
        )
    path = str(Path(found).absolute())  # not resolved: a virtual environment's is a link
    told = _ask(path)
    version = tuple(told["version"])
    if version < LEAST:
        raise NoFrameworkError(
            f"{path} is Python {'.'.join(map(str, version))}, and cases need "
            f"{'.'.join(map(str, LEAST))} or later",
            "name a newer one with --python",
        )
    # A name may stand for a script that chooses the interpreter, as pyenv's do.
    return Interpreter(
        told["executable"] or path, version, tuple(told["modules"]), told["versions"]
    )


def _ask(path: str) -> dict[str, Any]:
    modules = dict.fromkeys(m for framework in FRAMEWORKS.values() for m in framework.modules)
    line = [path, "-c", _QUESTION, ",".join(modules), ",".join(DISTRIBUTIONS)]
    environment = {**surroundings(path), **passed_on(("HOME",))}
    try:
        answer = subprocess.run(
            line, capture_output=True, text=True, env=environment, timeout=ANSWER_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{path} did not answer within {ANSWER_S:.0f} s") from error
    except OSError as error:
        raise InputError(f"{path} cannot be started: {error.strerror}") from error
    try:
        told: dict[str, Any] = json.loads(answer.stdout)
        return {"executable": told["executable"], "version": told["version"], **told}
    except (ValueError, KeyError, TypeError) as error:
        said = answer.stderr.strip().splitlines() or ["it answers nothing that a Python would"]
        raise InputError(f"{path} is no Python that can be started: {said[-1].strip()}") from error
