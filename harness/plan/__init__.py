"""From cases to planned cases: every name resolved before the first one starts."""

from harness.plan.cases import Resolved, plan, share_out
from harness.plan.data import DataFolders, FoundData, locate
from harness.plan.elsewhere import plan_elsewhere
from harness.plan.here import Means, image_for, needs_of, resolve
from harness.plan.runtime import Chosen, choose_runtime

__all__ = [
    "Chosen",
    "DataFolders",
    "FoundData",
    "Means",
    "Resolved",
    "choose_runtime",
    "image_for",
    "locate",
    "needs_of",
    "plan",
    "plan_elsewhere",
    "resolve",
    "share_out",
]
