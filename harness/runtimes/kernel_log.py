"""The kernel's own words on a container that it killed for memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

KMSG = "/dev/kmsg"
LONGEST = 8192
"""Bytes of the longest record that the kernel writes."""


def killed_for_memory(container: str, path: str = KMSG) -> bool:
    """Whether the kernel says that it killed a process of the container with this whole id.

    Engines miss it: one looks at a container's first process only, another loses it to a race on
    cgroup v1. False also where this user may not read the kernel's log.
    """
    wanted = container.encode()
    return any(b"oom-kill:" in record and wanted in record for record in _records(path))


def _records(path: str) -> Iterator[bytes]:
    try:
        log = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        while True:
            with contextlib.suppress(BrokenPipeError):  # overwritten meanwhile: read on
                record = os.read(log, LONGEST)
                if not record:
                    return
                yield record
    except OSError:  # the end, for a reader that does not wait
        return
    finally:
        os.close(log)
