"""The largest batch that fits: probes, each an ordinary attempt of a few steps."""

from harness.fit.finding import Answer, Question, find
from harness.fit.told import FORMATS

__all__ = ["FORMATS", "Answer", "Question", "find"]
