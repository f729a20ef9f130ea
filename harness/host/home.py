"""The caller's home and cache: a user of a rented container need not have one."""

from __future__ import annotations

from pathlib import Path

from harness.errors import MachineError

_NO_HOME = (
    "this user has no home folder: HOME is not set, and the system's list of users names none",
    "export HOME=/tmp, or a folder that lasts",
)


def home_folder() -> Path:
    """The caller's home. Raises MachineError where there is none."""
    try:
        return Path.home()
    except RuntimeError as error:
        raise MachineError(*_NO_HOME) from error


def cache_folder() -> Path:
    """Where what can be fetched again is kept. Raises MachineError where there is no home."""
    import platformdirs

    try:
        folder = Path(platformdirs.user_cache_dir("harness"))
    except RuntimeError as error:
        raise MachineError(*_NO_HOME) from error
    if not folder.is_absolute():  # what older versions of platformdirs make of it
        raise MachineError(*_NO_HOME)
    return folder
