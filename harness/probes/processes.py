"""What the processes of a case hold and have used, where no container counts it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from harness.host.text import read


def tree(pid: int) -> set[int]:
    """The process and all that descend from it; empty once it is gone."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    return set()


def resident(pid: int) -> int | None:
    """Bytes resident now, summed over the process and its descendants; None once it is gone.

    What two of them share counts twice.
    """
    import psutil

    held: list[int] = []
    for one in tree(pid):
        with contextlib.suppress(psutil.Error):
            held.append(int(psutil.Process(one).memory_info().rss))
    return sum(held) if held else None


def cpu_s(pid: int) -> float | None:
    """Seconds of processor time of the process and its descendants.

    None once it is gone, and where the kernel does not tell whose children are whose.
    Those that ended count from when their parents have waited for them, and those that another
    thread than the first of theirs started from then on too: to find these takes a look at every
    process of the machine.
    """
    if not _children(pid).exists():
        return None
    used = [seconds for one in _line(pid) if (seconds := _own_and_waited_for(one)) is not None]
    return sum(used) if used else None


def _own_and_waited_for(pid: int) -> float | None:
    """From the kernel's one line on it: psutil asks for more, and this is asked several times a
    second beside a measurement.
    """
    line = read(Path(f"/proc/{pid}/stat"))
    if line is None:
        return None
    behind_its_name = line.rpartition(")")[2].split()
    return sum(map(int, behind_its_name[11:15])) / os.sysconf("SC_CLK_TCK")


def _line(pid: int) -> Iterator[int]:
    """The process and its descendants, as far as first threads started them. Linux."""
    yield pid
    try:
        children = _children(pid).read_text("ascii").split()
    except OSError:
        return
    for child in children:
        yield from _line(int(child))


def _children(pid: int) -> Path:
    return Path(f"/proc/{pid}/task/{pid}/children")
