"""How fast a single core is: slow single cores make a fast rented GPU wait.

Fixed work, version 1: a loop of whole and floating numbers in Python, which is what launching
steps costs, and SHA-256 over a fixed buffer, which does not depend on the Python.
"""

from __future__ import annotations

import hashlib
import platform
import statistics
import time
from collections.abc import Callable

from harness.model import Frozen

VERSION = 1
RUNS = 5
ROUNDS = 200_000
BUFFER = bytes(range(256)) * (16 * 1024)
"""4 MiB."""


class Speed(Frozen):
    """Medians of five short runs on one core; higher is faster. Comparable within a `version`.

    `python_mops`: million rounds of the loop a second, by the interpreter `python`; `sha256_mbs`:
    10^6 bytes a second, by whatever instructions its library found.
    """

    version: int
    python_mops: float
    python: str
    sha256_mbs: float


def single_core(clock: Callable[[], float] = time.perf_counter) -> Speed:
    """Some 0.2 s on an ordinary core."""
    return Speed(
        version=VERSION,
        python_mops=round(ROUNDS / 1e6 / _median_s(_loop, clock), 2),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sha256_mbs=round(len(BUFFER) / 1e6 / _median_s(_hash, clock), 1),
    )


def _median_s(work: Callable[[], object], clock: Callable[[], float]) -> float:
    taken = []
    for _ in range(RUNS):
        began = clock()
        work()
        taken.append(clock() - began)
    return max(statistics.median(taken), 1e-9)


def _loop() -> float:
    whole, floating = 1, 1.0
    for _ in range(ROUNDS):
        whole = (whole * 1103515245 + 12345) & 0x7FFFFFFF
        floating = floating * 0.999 + whole
    return floating


def _hash() -> str:
    return hashlib.sha256(BUFFER).hexdigest()
