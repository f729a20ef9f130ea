"""One attempt of one case, from its launch to its record."""

from harness.runner.attempt import attempt_labels, run_attempt
from harness.runner.record import Place

__all__ = ["Place", "attempt_labels", "run_attempt"]
