"""A job array as text: the script that Slurm runs, and the list of its attempts. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.executors.slurm.site import Site


@dataclass(frozen=True)
class Array:
    """An array's files in the run folder's `slurm`: script, list of attempts, output of each."""

    folder: Path
    number: int

    @property
    def script(self) -> Path:
        return self.folder / f"array-{self.number}.sh"

    @property
    def tasks(self) -> Path:
        return self.folder / f"array-{self.number}.tasks"

    def output(self, task: int) -> Path:
        return self.folder / f"array-{self.number}-{task}.out"


def job_name(run_id: str) -> str:
    """What all jobs of a run are called."""
    return f"harness-{run_id}"


def sbatch_options(site: Site, gres: str | None) -> list[str]:
    """What of sbatch's options the site file says; `gres` where the cases want a GPU."""
    named = {
        "partition": site.partition,
        "account": site.account,
        "constraint": site.constraint,
        "gres": gres,
        "time": site.time,
    }
    return [f"--{name}={value}" for name, value in named.items() if value] + list(site.extra)


def script_text(
    run_id: str, array: Array, count: int, site: Site, gres: str | None, python: str
) -> str:
    """The script of an array of `count` tasks, whole: ``sbatch FILE`` needs nothing else.

    `python` is the interpreter of the harness on the cluster.
    """
    output = str(array.output(0)).replace("%", "%%")[: -len("0.out")] + "%a.out"
    options = [
        f"--job-name={job_name(run_id)}",
        f"--comment=harness.run={run_id}",
        f"--array=1-{count}%{site.at_once}",
        f"--output={output}",
        "--open-mode=append",
        "--no-requeue",  # a repeated attempt has a folder of its own: the campaign makes it
        *sbatch_options(site, gres),
    ]
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH {directive(option)}" for option in options),
        "# One attempt a task: its folder is that line of the list. What has its record is left",
        f"# alone, so that the rest can be done by hand:  sbatch {shlex.quote(str(array.script))}",
        "set -e",
        *site.prologue,
        f'folder=$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" {shlex.quote(str(array.tasks))})',
        f'exec {shlex.quote(python)} -m harness attempt "$folder"',
    ]
    return "\n".join(lines) + "\n"


def directive(option: str) -> str:
    """An option as a line of a script may hold it: its value quoted where it must be."""
    name, equals, value = option.partition("=")
    return f"{name}={shlex.quote(value)}" if equals else option


def tasks_text(folders: Sequence[Path]) -> str:
    """The attempts' folders, one a line; the first is task 1."""
    return "".join(f"{folder}\n" for folder in folders)


def task_folders(text: str) -> dict[int, Path]:
    """The folders in such a list, by task."""
    return {number: Path(line) for number, line in enumerate(text.splitlines(), start=1) if line}
