"""What this machine lacks, and the command that mends it."""

from harness.doctor.examine import Asked, examine
from harness.preflight import Finding

__all__ = ["Asked", "Finding", "examine"]
