"""How a run elsewhere ended: its exit code, what came back, and its own words where it failed."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ExitCode, HarnessError, MachineError
from harness.results.run import RUN_FILE

LAST_LINES = 8
_MEASURED = (ExitCode.OK, ExitCode.CASES_FAILED)
_STOPPED = (ExitCode.INTERRUPTED, -signal.SIGTERM, -signal.SIGINT)


@dataclass(frozen=True)
class Ended:
    """One machine's part: the exit code, its run folder here, and what went wrong.

    `whole`: nothing of the run is still there.
    """

    label: str
    code: int
    folder: Path | None = None
    error: HarnessError | None = None
    whole: bool = True


def judge(
    label: str, how: Mapping[str, Any], log: str, folder: Path | None, asked: bool = False
) -> Ended:
    """What `how` (the agent's word), the log and the folder come to.

    `asked`: the user asked it to stop, so that this is no failure.
    """
    code = how.get("code")
    if code in _STOPPED and (asked or (code == ExitCode.INTERRUPTED and folder is not None)):
        return Ended(label, ExitCode.INTERRUPTED, folder)
    kept = " (what was measured is kept)" if folder is not None else ""
    if how["state"] != "ended" or code is None or code < 0:
        why = f"it was killed by {_signal_name(code)}" if code else "it was killed or restarted"
        error = MachineError(
            f"the run there ended without a word: {why}{kept}{_quoted(log)}",
            "look at that machine's kernel log and memory, then start again",
        )
        return Ended(label, ExitCode.MACHINE_LACKS, folder, error)
    crashed = False
    if folder is not None and code in _MEASURED:
        if _in_order(folder):
            return Ended(label, code, folder)
        crashed = True
    message, step = ("", "") if crashed else own_words(log)
    if not message:
        message = f"the harness there ended with exit code {code}{_quoted(log)}"
    failed = MachineError(f"{message}{kept}", step)
    exit_code = ExitCode.MACHINE_LACKS if crashed or not code else code
    return Ended(label, exit_code, folder, failed)


def _in_order(folder: Path) -> bool:
    """Whether the run came to its own end: a crash has the exit code of a failed case."""
    try:
        told = json.loads((folder / RUN_FILE).read_text("utf-8"))
        return told["invocations"][-1]["finished_at"] is not None
    except (OSError, ValueError, LookupError, TypeError):
        return False


def own_words(log: str) -> tuple[str, str]:
    """The error and the next step that the harness there ended with; empty where it told none."""
    lines = log.rstrip().splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if not begins:
        return "", ""
    message: list[str] = []
    step = ""
    for line in lines[begins[-1] :]:
        if line.startswith("  try: "):
            step = line.removeprefix("  try: ")
            break
        message.append(line)
    return "\n".join(message).removeprefix("error: "), step


def _quoted(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()][-LAST_LINES:]
    return "".join(f"\n  | {line}" for line in lines)


def _signal_name(code: int | None) -> str:
    try:
        return signal.Signals(-(code or 0)).name
    except ValueError:
        return f"signal {-(code or 0)}"
