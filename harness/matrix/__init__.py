"""The matrix file: read it, check it, expand it into cases."""

from harness.matrix.expand import expand
from harness.matrix.load import load, parse
from harness.matrix.order import in_order
from harness.matrix.schema import Matrix
from harness.matrix.select import select
from harness.matrix.selection import Selection, parse_selection

__all__ = [
    "Matrix",
    "Selection",
    "expand",
    "in_order",
    "load",
    "parse",
    "parse_selection",
    "select",
]
