"""Fetching the datasets' files: several mirrors, resumed, verified, never half a file in place."""

from harness.fetch.asking import Patience
from harness.fetch.mirrors import MIRROR_SETTING
from harness.fetch.missing import Fetched, NoMirrorError, Terms, fetch_missing
from harness.fetch.place import writable_folder
from harness.fetch.progress import EveryTenSeconds, display

__all__ = [
    "MIRROR_SETTING",
    "EveryTenSeconds",
    "Fetched",
    "NoMirrorError",
    "Patience",
    "Terms",
    "display",
    "fetch_missing",
    "writable_folder",
]
