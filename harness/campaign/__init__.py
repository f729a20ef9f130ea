"""A run: prepared whole, then measured case by case, every finished attempt journalled."""

from harness.campaign.prepare import Placed, Prepared, Request, prepare, prepare_elsewhere
from harness.campaign.preview import PlannedCell, Preview, preview
from harness.campaign.run import Outcome, resume, run
from harness.campaign.schedule import Schedule, UntilStable
from harness.campaign.supplies import Supply

__all__ = [
    "Outcome",
    "Placed",
    "PlannedCell",
    "Prepared",
    "Preview",
    "Request",
    "Schedule",
    "Supply",
    "UntilStable",
    "prepare",
    "prepare_elsewhere",
    "preview",
    "resume",
    "run",
]
