"""Images on this machine: find, pull, build and verify them."""

from harness.images.build import build
from harness.images.store import ImageHere, ensure, find

__all__ = ["ImageHere", "build", "ensure", "find"]
