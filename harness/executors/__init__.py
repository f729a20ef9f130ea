"""Where attempts are placed: on this machine's devices, or on other machines."""

from harness.executors.base import Elsewhere, Executor, Lane, Task, Work
from harness.executors.inline import Inline
from harness.executors.lanes import one_after_another, side_by_side

__all__ = [
    "Elsewhere",
    "Executor",
    "Inline",
    "Lane",
    "Task",
    "Work",
    "one_after_another",
    "side_by_side",
]
