"""One attempt of one case, from its launch to its record."""

from harness.runner.attempt import Interrupted, run_attempt
from harness.runner.record import Place

__all__ = ["Interrupted", "Place", "run_attempt"]
