"""From cases to planned cases: every name resolved before the first one starts."""

from harness.plan.cases import Resolved, plan, share_out
from harness.plan.data import DataFolders, FoundData, locate
from harness.plan.runtime import Chosen, choose_runtime

__all__ = [
    "Chosen",
    "DataFolders",
    "FoundData",
    "Resolved",
    "choose_runtime",
    "locate",
    "plan",
    "share_out",
]
