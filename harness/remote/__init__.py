"""The same command on a machine that is reached by SSH: get it ready, run, follow, bring back."""

from harness.remote.address import Address, parse_address
from harness.remote.ending import Ended
from harness.remote.event_lines import EventFile, decode, encode
from harness.remote.job import Job
from harness.remote.options import RunOptions
from harness.remote.state import JobState, open_jobs
from harness.remote.together import side_by_side

__all__ = [
    "Address",
    "Ended",
    "EventFile",
    "Job",
    "JobState",
    "RunOptions",
    "decode",
    "encode",
    "open_jobs",
    "parse_address",
    "side_by_side",
]
