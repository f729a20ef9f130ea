"""Where attempts are placed: on this machine's devices, one after another or side by side."""

from harness.executors.inline import Task, one_after_another, side_by_side

__all__ = ["Task", "one_after_another", "side_by_side"]
