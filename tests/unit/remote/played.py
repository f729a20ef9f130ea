"""This machine in the place of another one: what would go by SSH runs in a shell here."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from harness.remote import JobState, agent
from harness.remote import state as states
from harness.remote.sources import agent_source

RESET = "echo 'Connection reset by peer' >&2; exit 255"
REFUSED = "echo 'me@gpu1: Permission denied (publickey).' >&2; exit 255"
NO_NAME = "echo 'Could not resolve hostname gpu1: Temporary failure' >&2; exit 255"
ANSWER_LOST = "{{ {command}; }} >/dev/null 2>&1; " + RESET

FINISHED = json.dumps({"invocations": [{"finished_at": "2026-01-01T00:00:00Z"}]})
UNFINISHED = json.dumps({"invocations": [{"finished_at": None}]})
MEASURES = "mkdir -p results/run; echo '{info}' >results/run/run.json; touch measuring"
"""The beginning of a run there, as shell text."""


@dataclass
class Played:
    """A machine with one job. `instead` holds shell texts that replace the next command of a kind.

    The program there is the shell text `run`.
    """

    folder: Path
    instead: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def job(self) -> Path:
        return self.folder / "there" / "jobs" / "abcd1234"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def state(self) -> JobState:
        return JobState(
            job="abcd1234",
            address="ssh://gpu1",
            label="gpu1",
            folder=str(self.job),
            python=sys.executable,
            results=str(self.results),
            matrix="matrix.yaml",
            started_at="2026-01-01T00:00:00Z",
            harness_version="0",
        )

    def line(self, command: str) -> list[str]:
        self.asked.append(command)
        for number, (part, text) in enumerate(self.instead):
            if part in command:
                del self.instead[number]
                return ["sh", "-c", text.format(command=command)]
        return ["sh", "-c", command]

    def make(self, run: str) -> None:
        """The job's folder, ready to be started."""
        env = self.folder / "there" / "envs" / "key"
        (env / "bin").mkdir(parents=True)
        (env / "bin" / "python").write_text(f"#!/bin/sh\n{run}\n")
        (env / "bin" / "python").chmod(0o755)
        self.job.mkdir(parents=True)
        (self.job / "agent.py").write_bytes(agent_source())
        (self.job / agent.OURS).touch()
        (self.job / "env").write_text(str(env))
        (self.job / "job.json").write_text(json.dumps({"words": [], "settings": {}}))

    def wipe(self) -> None:
        """The job's folder is gone; a run that lasts ends by that."""
        shutil.rmtree(self.job, ignore_errors=True)


def is_open(machine: Played) -> bool:
    return [state.job for state in states.open_jobs()] == [machine.state.job]
