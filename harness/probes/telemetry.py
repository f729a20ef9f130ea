"""Samples a card and its machine beside a running case, into telemetry.csv."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, TextIO

from harness.analysis.telemetry import COLUMNS, Sample
from harness.host.gpus import nvml
from harness.model import Device
from harness.probes.telemetry_card import Card
from harness.probes.telemetry_host import Host, Periods

_in_order = attrgetter(*COLUMNS)

FILE = "telemetry.csv"
HZ = 5.0
PATIENCE_S = 10.0
"""How long a call to a card may hang before its thread is left alone."""


@dataclass(frozen=True)
class Subject:
    """What is known of the case: its device, its processes, its processor time in seconds (None
    where nobody can say), and by what quotas have held it back.
    """

    device: Device
    pids: Callable[[], Collection[int]] = field(default=tuple)
    cpu_s: Callable[[], float | None] = field(default=lambda: None)
    periods: Callable[[], Periods] = field(default=dict)


class Sampler:
    """Samples from `start` to `stop`, in a thread of its own; a failing card ends nothing.

    Where the disk refuses the file, sampling ends and the case goes on.
    """

    def __init__(self, subject: Subject, path: Path, hz: float = HZ) -> None:
        self._subject, self._path, self._period = subject, path, 1 / hz
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End it; the file is complete when this returns, but where the card no longer answers."""
        self._ended.set()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        with suppress(OSError), ExitStack() as open_things:
            file = open_things.enter_context(self._path.open("w", newline="", encoding="ascii"))
            card = _card(self._subject, open_things)
            host = Host(self._subject.cpu_s, self._subject.periods)
            self._sample(card, host, file)

    def _sample(self, card: Card | None, host: Host, file: TextIO) -> None:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        due = time.monotonic()
        while not self._ended.wait(max(due - time.monotonic(), 0)):
            of_card = card.read() if card is not None else {}
            sample = Sample(time.monotonic(), **of_card, **host.read())
            rows.writerow(map(_cell, COLUMNS, _in_order(sample)))
            # One that comes late is not made up for.
            due = max(due + self._period, time.monotonic())


def _card(subject: Subject, open_things: ExitStack) -> Card | None:
    import pynvml

    device = subject.device
    if device.kind != "gpu" or device.uuid is None or device.vendor == "amd":
        return None
    with suppress(pynvml.NVMLError):
        open_things.enter_context(suppress(pynvml.NVMLError))  # a lost card's end fails too
        open_things.enter_context(nvml())
        return Card(device.uuid, subject.pids)
    return None


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        # Times are seconds since the machine's start: a fresh one's too are told to the millionth.
        return f"{value:.6g}" if name != "t" and value < 1000 else f"{value:.6f}"
    return str(value)


def samples_of(path: Path) -> Iterator[Sample]:
    """The samples in a telemetry.csv, but for lines that are none. Raises OSError, csv.Error."""
    with path.open(newline="", encoding="ascii", errors="replace") as file:
        for row in csv.DictReader(file):
            with suppress(ValueError, TypeError, AttributeError, KeyError):
                yield Sample(**{name: _READ[name](row[name]) for name in COLUMNS})


def _number(text: str) -> float | None:
    return float(text) if text else None


def _whole(text: str) -> int | None:
    return int(text) if text else None


def _flag(text: str) -> bool:
    return bool(int(text))


_READERS: dict[str, Callable[[str], Any]] = {
    "float": float,
    "float | None": _number,
    "int | None": _whole,
    "bool": _flag,
}
_READ = {one.name: _READERS[str(one.type)] for one in fields(Sample)}
