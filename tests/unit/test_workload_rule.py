"""The workload's rule: Python 3.8 syntax, the standard library, numpy, the framework, itself."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.plan.cases import workload_folder

FILES = sorted(workload_folder().rglob("*.py"))
ALLOWED = set(sys.stdlib_module_names) | {"numpy", "keras", "tensorflow", "jax", "jaxlib", "torch"}
STDLIB_ALONE = {"__main__.py", "contract.py", "phases.py", "spec.py", "frameworks.py"}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level > 1:
            yield "what lies outside the workload"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_syntax_and_imports(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
    found = set(_imports(tree))
    allowed = set(sys.stdlib_module_names) if path.name in STDLIB_ALONE else ALLOWED
    assert found <= allowed


def test_there_is_a_workload() -> None:
    assert {path.name for path in FILES} >= STDLIB_ALONE | {"train.py", "infer.py", "models.py"}
