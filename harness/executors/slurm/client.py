"""Slurm's own commands, and what they answer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfraError, MachineError
from harness.executors.slurm.site import Site
from harness.executors.slurm.states import Seen

PROGRAMS = ("sbatch", "squeue", "scancel")
ANSWER_S = 90.0

_AWAY = (
    "unable to contact slurm controller",
    "socket timed out",
    "zero bytes were transmitted",
    "connection refused",
    "temporarily",
    "did not answer",
)
"""What the commands say while the controller is restarted or has too much to do."""

_MAY_BE_DOWN = "requested node configuration is not available"
"""What a trial says of an impossible wish, and of nodes that are only down: sbatch tells later."""


@dataclass(frozen=True)
class SlurmCommands:
    """Asks the controller that this machine's configuration names."""

    def check(self, options: Sequence[str]) -> str:
        """Slurm's version. Raises MachineError where it is not here or refuses such tasks."""
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            raise MachineError(
                f"Slurm is not on this machine: there is no {', '.join(missing)} on the PATH",
                "start the harness where tasks are submitted (a cluster's login node), or use "
                "--executor inline",
            )
        tried = _ran("sbatch", "--test-only", *options, "--wrap=true")
        told = said(tried)
        if tried.returncode != 0 and _MAY_BE_DOWN not in told.lower():
            raise refusal(told)
        return (_ran("sbatch", "--version").stdout.split() or ["?"])[-1]

    def submit(self, script: Path) -> str:
        """The job's number. Raises InfraError while the controller is away, else MachineError."""
        done = _ran("sbatch", "--parsable", str(script))
        number = (done.stdout.split() or [""])[-1].partition(";")[0]
        if done.returncode == 0 and number.isdecimal():
            return number
        told = said(done)
        if any(word in told.lower() for word in _AWAY):
            raise InfraError(f"sbatch: {told}", transient=True)
        raise refusal(told)

    def states(self, jobs: Sequence[str]) -> dict[str, Seen] | None:
        """The tasks of these jobs, by their names (``12_3``); None where Slurm did not answer."""
        lines = self._squeue("--states=all", f"--jobs={','.join(jobs)}", "--format=%i|%T|%N|%r")
        if lines is None:
            return None
        return {name: Seen(*rest) for name, *rest in lines if len(rest) == 3}

    def queued(self, job_name: str) -> dict[str, str]:
        """The scripts of the tasks of that name that have not ended yet, by the tasks' names.

        Raises MachineError where Slurm did not answer: nobody knows then what still runs.
        """
        lines = self._squeue(f"--name={job_name}", "--format=%i|%o")
        if lines is None:
            raise MachineError(
                "Slurm does not say which tasks of an earlier start are still under way",
                "wait until squeue answers here, and go on then: nothing is lost",
            )
        return {found[0]: found[1] for found in lines if len(found) == 2}

    def accounted(self, task: str) -> Seen | None:
        """What the accounting remembers of a task; None where there is none or it knows none."""
        if shutil.which("sacct") is None:
            return None
        columns = "--format=State,NodeList,ExitCode"
        asked = ("--noheader", "--parsable2", "--allocations", columns, f"--jobs={task}")
        done = _ran("sacct", *asked)
        first = done.stdout.strip().splitlines()[:1]
        if done.returncode != 0 or not first or first[0].count("|") != 2:
            return None
        state, node, _code = first[0].split("|")
        return Seen((state.split() or [""])[0], node, "")

    def terminate(self, tasks: Sequence[str]) -> None:
        """Take what waits off the queue, and ask what runs to end: its script alone, by TERM.

        An ordinary ``scancel`` would send TERM to every process of the task at once.
        """
        _ran("scancel", "--quiet", "--state=PENDING", *tasks)
        _ran("scancel", "--quiet", "--batch", "--signal=TERM", "--state=RUNNING", *tasks)

    def cancel(self, tasks: Sequence[str]) -> None:
        """End them, whatever they are at."""
        _ran("scancel", "--quiet", *tasks)

    def _squeue(self, *options: str) -> list[list[str]] | None:
        done = _ran("squeue", "--noheader", "--array", *options)
        if done.returncode != 0:
            # One that is not remembered any more is an error where it is asked for alone.
            return [] if "Invalid job id" in done.stderr else None
        return [line.strip().split("|") for line in done.stdout.splitlines()]


def _ran(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_S,
            check=False,
            start_new_session=True,  # Ctrl-C is for the harness, which ends its tasks by them
        )
    except subprocess.TimeoutExpired:
        told = f"{words[0]} did not answer within {ANSWER_S:.0f} s"
        return subprocess.CompletedProcess(words, 1, "", told)
    except OSError as error:
        return subprocess.CompletedProcess(words, 1, "", f"{words[0]}: {error.strerror}")


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that failed said, in one line."""
    lines = (done.stderr + done.stdout).splitlines()
    told = [line.strip() for line in lines if line.strip() and not line.startswith("Try ")]
    return "; ".join(dict.fromkeys(told)) or f"it ended with code {done.returncode}"


def refusal(told: str) -> MachineError:
    """That Slurm does not take such tasks, or is not set up here, in its own words."""
    if "configuration source" in told:
        return MachineError(
            f"Slurm is not set up on this machine: {told}",
            "start on the cluster's login node; SLURM_CONF names its configuration",
        )
    return MachineError(
        f"Slurm does not take the tasks: {told}",
        "mend the site file (partition, account, constraint, gres, time, extra); sinfo shows what "
        "there is",
    )


def wishes(site: Site, gres: str | None) -> str:
    """What of the site file makes the tasks special, for people."""
    named = (("partition", site.partition), ("constraint", site.constraint), ("gres", gres))
    told = [f"{name} {value}" for name, value in named if value]
    return ", ".join([*told, f"at most {site.at_once} tasks at a time"])
