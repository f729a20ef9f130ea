"""The matrix file: read it, check it, expand it into cases."""

from harness.matrix.expand import expand
from harness.matrix.load import load, parse
from harness.matrix.schema import Matrix
from harness.matrix.select import select

__all__ = ["Matrix", "expand", "load", "parse", "select"]
