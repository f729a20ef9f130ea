"""A runtime that plays a script: output, delays, files and an ending. For tests, and said so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.errors import InfraError
from harness.model import Exit, LaunchSpec
from harness.runtimes.base import STDERR, Chunk, FirstProcess


@dataclass(frozen=True)
class Script:
    """What an attempt prints and leaves. `steps` are bytes to print or seconds to wait."""

    steps: tuple[bytes | float, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    exit: Exit = field(default_factory=lambda: Exit(code=0))
    refuses: str | None = None
    transient: bool = False
    cpu_s: Callable[[], float | None] = lambda: None


class ScriptedRuntime:
    """Plays the script that `scripts` gives for each launch."""

    name = "scripted"

    def __init__(self, scripts: Callable[[LaunchSpec], Script]) -> None:
        self.scripts = scripts
        self.attempts: list[ScriptedAttempt] = []
        self.swept: list[dict[str, str]] = []

    def start(self, spec: LaunchSpec) -> ScriptedAttempt:
        script = self.scripts(spec)
        if script.refuses is not None:
            raise InfraError(script.refuses, script.transient)
        attempt = ScriptedAttempt(script, spec)
        self.attempts.append(attempt)
        return attempt

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        self.swept.append(dict(labels))  # its attempts end with the process that plays them
        return []


class ScriptedAttempt:
    """One playing of a script."""

    def __init__(self, script: Script, spec: LaunchSpec) -> None:
        self.script = script
        self.spec = spec
        self.removed = False
        self._stopped = threading.Event()
        self._ended = threading.Event()

    def chunks(self) -> Iterator[Chunk]:
        for step in self.script.steps:
            if isinstance(step, bytes):
                yield STDERR, step
            elif self._stopped.wait(step):
                break
        if not self._stopped.is_set():
            for name, text in self.script.files.items():
                (self.spec.out / name).write_text(text, encoding="utf-8")
        self._ended.set()

    def running(self) -> bool:
        return not self._ended.is_set()

    def cpu_s(self) -> float | None:
        return self.script.cpu_s()

    def first_process(self) -> FirstProcess | None:
        return None  # it has none

    def stop(self, grace_s: float) -> None:
        del grace_s  # a script ends at once
        self._stopped.set()

    def result(self) -> Exit:
        return Exit(code=143) if self._stopped.is_set() else self.script.exit

    def remove(self) -> None:
        self._stopped.set()
        self.removed = True
