"""The parent process and the dispatch of a child. Standard library alone.

Each phase is a process of its own, so that loading a model is honestly a fresh start and the end
of one phase never costs the other's figures.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from types import FrameType
from typing import Callable, List, Optional, Sequence

from . import contract, frameworks, lifeline
from . import spec as specs

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Folders:
    """Where things lie for this process; `weights` only where the spec asks for some."""

    data: str
    out: str
    weights: Optional[str]


def main(argv: Sequence[str]) -> int:
    """Run the whole workload, or with ``--phase`` one phase in this very process."""
    arguments = _parser().parse_args(argv)
    try:
        spec = specs.read(arguments.spec)
    except specs.SpecError as error:
        print("workload: %s" % error, file=sys.stderr)
        return contract.EXIT_BAD_SPEC
    folders = Folders(arguments.data, arguments.out, arguments.weights)
    if arguments.phase is not None:
        # Ctrl-C reaches the whole terminal group: end as by any signal, without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        frameworks.choose(spec)
        importlib.import_module("." + arguments.phase, __package__).run(spec, folders)
        return 0
    lifeline.watch(arguments.spec)
    code = os.path.dirname(os.path.abspath(__file__))

    def command(phase: str) -> List[str]:
        return [sys.executable, code, *argv, "--phase", phase]

    try:
        return run_phases(contract.PHASES, command)
    finally:
        remove(os.path.join(folders.out, contract.MODEL_FILE))


def run_phases(phases: Sequence[str], command: Callable[[str], List[str]]) -> int:
    """Run `command(phase)` for each phase until one fails.

    SIGTERM and SIGINT are handed on to the running child; no further one is started after them.

    Returns:
        0, the failed child's exit code, or 128 + the signal's number.
    """
    runner = _Runner()
    before = [(number, signal.signal(number, runner.on_signal)) for number in SIGNALS]
    try:
        for phase in phases:
            code = runner.run(command(phase))
            if code != 0:
                return code
        return 0
    finally:
        for number, handler in before:
            signal.signal(number, handler)


class _Runner:
    """One child at a time, and the signal that came for it."""

    def __init__(self) -> None:
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._signal: Optional[int] = None

    def on_signal(self, number: int, _frame: Optional[FrameType]) -> None:
        self._signal = number
        if self._child is not None:
            self._child.send_signal(number)

    def run(self, command: List[str]) -> int:
        if self._signal is None:
            environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
            self._child = subprocess.Popen(command, env=environment)
            # One that came while the child was being made found nobody to hand it to.
            if self._signal is not None:
                self._child.send_signal(self._signal)
            code = self._child.wait()
            self._child = None
            if self._signal is None:
                return 128 - code if code < 0 else code
        return 128 + self._signal


def remove(path: str) -> None:
    """Remove a file or a folder that may not be there."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="workload", description=__doc__)
    parser.add_argument("--spec", required=True, help="the case: spec.json")
    parser.add_argument("--data", required=True, help="folder of the dataset's files")
    parser.add_argument("--out", required=True, help="folder for the timing files")
    parser.add_argument("--weights", help="folder of the pretrained weights' files")
    parser.add_argument("--phase", choices=contract.PHASES, help="run one phase in this process")
    return parser
