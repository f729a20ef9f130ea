"""``harness schema``: what a matrix file may hold, for an editor."""

from __future__ import annotations

import json

import typer


def schema() -> None:
    """Print the JSON Schema of matrix files."""
    from harness.matrix.json_schema import matrix_schema

    typer.echo(json.dumps(matrix_schema(), indent=2))
