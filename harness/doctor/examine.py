"""Every check, in the order in which a run needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.catalog import datasets, default_image, images, models
from harness.doctor import checks
from harness.doctor.containers import ask_apptainer, ask_engine, ask_podman
from harness.errors import HarnessError, NoFrameworkError
from harness.fetch import writable_folder
from harness.host.gpus import Gpus, find_gpus
from harness.host.home import cache_folder
from harness.preflight import Finding, check_memory, check_results, nearest_existing, space_for
from harness.runtimes import interpreter

FRAMEWORK = "tensorflow"
IMAGE_KINDS = {"cpu": "cpu", "nvidia": "gpu", "amd": "rocm"}
DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu")


@dataclass(frozen=True)
class Asked:
    """Where to look. `folders` hold the datasets; `data_dir` is the one the user named.

    `locate` gives the folder of a dataset, verified, or None where its files are not all here; it
    raises MachineError where one is damaged. `fetch` is the command that fetches one.
    """

    results: Path
    folders: Sequence[Path]
    locate: Callable[[str], Path | None]
    data_dir: Path | None = None
    fetch: str = "harness data fetch"


def examine(asked: Asked) -> list[Finding]:
    """Look at everything, and leave all as it was. Raises InputError for a wrong catalog file."""
    return [
        *_what_runs_cases(nearest_existing(asked.results).resolve()),
        *_what_cases_read(asked),
        _results(asked.results),
        _memory(),
    ]


def _what_runs_cases(scratch: Path) -> list[Finding]:
    catalog = images()
    gpus = find_gpus()
    preferred = {name: default_image(FRAMEWORK, kind) for name, kind in IMAGE_KINDS.items()}
    answers = ask_engine(catalog, preferred, gpus, scratch)
    drivers = checks.check_drivers(
        gpus.driver if gpus.found else None,
        catalog,
        preferred["nvidia"],
        proven=answers.gpu_image == preferred["nvidia"],
    )
    podman = [] if answers.kind == "podman" else ask_podman()  # one line on each engine
    ways, verdict = checks.weigh(
        {
            answers.kind: [answers.engine, *drivers, *answers.trials],
            **({"podman": podman} if podman else {}),
            "local": [_this_environment(gpus)],
        }
    )
    engine, *within = ways.pop(answers.kind)
    here = answers.images or {}
    cases_in = [
        checks.check_image(name, entry, here.get(name), answers.images is not None)
        for name, entry in catalog.items()
    ]
    gpu = checks.check_gpus(gpus)
    others = [found for way in ways.values() for found in way]
    return [
        *(engine, gpu, *within, *cases_in, *others),
        *(*ask_apptainer(), verdict, answers.leftovers),
    ]


def _this_environment(gpus: Gpus) -> Finding:
    here = interpreter.ask()
    try:
        here.require(FRAMEWORK)
    except NoFrameworkError as error:
        return checks.check_local(None, error, gpu=bool(gpus.found))
    held = [f"{name} {here.versions[name]}" for name in DISTRIBUTIONS if name in here.versions]
    return checks.check_local(next(iter(held), None), None, gpu=bool(gpus.found))


def _what_cases_read(asked: Asked) -> list[Finding]:
    catalog = datasets()
    found = {
        name: checks.check_dataset(name, entry, asked.locate, asked.fetch)
        for name, entry in catalog.items()
    }
    missing = bytes_of(name for name, finding in found.items() if finding.ok is not True)
    folder: Path | HarnessError
    try:
        folder = writable_folder(asked.data_dir, asked.folders)
    except HarnessError as error:
        folder = error
    cache = cache_folder()
    places = [checks.check_data_folder(folder, missing), checks.check_cache(cache)]
    return [*found.values(), *places]


def bytes_of(names: Iterable[str]) -> int:
    """What the files of these datasets take, each file once though several share it."""
    entries = [datasets()[name] for name in names]
    sizes = {
        (entry.folder, file): published.bytes
        for entry in entries
        for file, published in entry.files.items()
    }
    return sum(sizes.values())


def _results(results: Path) -> Finding:
    """Too small a disk for the largest model stops nobody who measures the smallest."""
    found = check_results(results, space_for(models()))
    least = min(space_for([name]) for name in models())
    if found.ok is False and check_results(results, least).ok:
        return replace(found, ok=None)
    return found


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    return check_memory(memory.total, memory.available)
