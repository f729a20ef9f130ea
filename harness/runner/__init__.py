"""One attempt of one case, from its launch to its record."""

from harness.runner.attempt import attempt_labels, run_attempt
from harness.runner.lost import lost_record
from harness.runner.record import Place

__all__ = ["Place", "attempt_labels", "lost_record", "run_attempt"]
