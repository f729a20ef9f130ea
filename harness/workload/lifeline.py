"""Ends the workload where nobody waits for it any more. Standard library alone.

Whoever started it holds a lock on the spec file for as long as it lives. A killed harness lets go
of it, and a container that goes on alone would hold a GPU for a result that nobody records.
"""

from __future__ import annotations

import os
import signal
import threading
import time

LOOK_EVERY_S = 2.0
GRACE_S = 10.0


def watch(path: str) -> None:
    """Have this process get SIGTERM once the lock on `path` is let go.

    A file that nobody holds now (a workload started by hand, a file system without locks) is not
    watched.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    if not _held(handle):
        os.close(handle)
        return
    threading.Thread(target=_wait, args=(handle,), daemon=True).start()


def _wait(handle: int) -> None:
    while _held(handle):
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGTERM)


def _held(handle: int) -> bool:
    """Whether another process holds the lock."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return False
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False
