"""How a run elsewhere ended: its exit code, what came back, and its own words where it failed."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ExitCode, HarnessError, MachineError

LAST_LINES = 8
_MEASURED = (ExitCode.OK, ExitCode.CASES_FAILED, ExitCode.INTERRUPTED)


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


def judge(label: str, how: Mapping[str, Any], log: str, folder: Path | None) -> Ended:
    """What `how` (the agent's word), the log and the folder come to."""
    code = how.get("code")
    kept = " (what was measured is kept)" if folder is not None else ""
    if how["state"] != "ended" or code is None or code < 0:
        why = f"it was killed by {_signal_name(code)}" if code else "it was killed or restarted"
        error = MachineError(
            f"the run there ended without a word: {why}{kept}{_quoted(log)}",
            "look at that machine's kernel log and memory, then start again",
        )
        return Ended(label, ExitCode.MACHINE_LACKS, folder, error)
    if code in _MEASURED and folder is not None:
        return Ended(label, code, folder)
    message, step = own_words(log)
    if not message:
        message = f"the harness there ended with exit code {code}{_quoted(log)}"
    failed = MachineError(f"{message}{kept}", step)
    return Ended(label, code or ExitCode.MACHINE_LACKS, folder, failed)


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
