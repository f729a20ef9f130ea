"""A run: prepared whole, then measured case by case, every finished attempt journalled."""

from harness.campaign.prepare import Prepared, Request, prepare
from harness.campaign.run import Outcome, run

__all__ = ["Outcome", "Prepared", "Request", "prepare", "run"]
