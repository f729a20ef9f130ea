"""A YAML text as plain data that remembers where each part stood.

Stricter than YAML: no tags, no duplicate keys, no anchor that contains itself or blows up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from harness.errors import InputError

MAX_NODES = 100_000
_SCALARS = ("null", "bool", "int", "float", "str")

Place = tuple[str | int, ...]


@dataclass
class Document:
    """`data` and, for each place in it, its line and column (from 1)."""

    name: str
    data: Any = None
    marks: dict[Place, tuple[int, int]] = field(default_factory=dict)

    def where(self, place: Place) -> str:
        """``file:line:column`` of a place, or of the nearest one around it that is written."""
        while place and place not in self.marks:
            place = place[:-1]
        line, column = self.marks.get(place, (1, 1))
        return f"{self.name}:{line}:{column}"


def read(text: str | bytes, name: str) -> Document:
    """The document in `text`. Raises InputError with file, line and column."""
    document = Document(name)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            document.data = _Walk(document).value(node, ())
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, name) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{name} is not readable as YAML text: {error}") from error
    except RecursionError as error:
        raise InputError(f"{name} is nested too deeply") from error
    return document


def _syntax_error(error: yaml.MarkedYAMLError, name: str) -> InputError:
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    problem = error.problem or error.context or "cannot be read"
    step = "indent with spaces; YAML allows no tabs there" if r"'\t'" in problem else ""
    return InputError(f"{where}: not valid YAML: {problem}", step)


class _Walk:
    """Nodes to plain data, noting each mark on the way."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.scalars = yaml.constructor.SafeConstructor()
        self.resolver = yaml.resolver.Resolver()
        self.open: set[int] = set()
        self.seen = 0

    def value(self, node: yaml.Node, place: Place) -> Any:
        self.seen += 1
        if self.seen > MAX_NODES:
            raise self.refuse(node, f"more than {MAX_NODES} values, anchors counted each time")
        self.document.marks.setdefault(place, _position(node))
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, kind)
        if id(node) in self.open:
            raise self.refuse(node, "an anchor that contains itself")
        if kind not in ("map", "seq"):
            raise self.refuse(node, f"the tag {node.tag!r} is not allowed here")
        self.open.add(id(node))
        inside = self.mapping if isinstance(node, yaml.MappingNode) else self.sequence
        found = inside(node, place)
        self.open.discard(id(node))
        return found

    def scalar(self, node: yaml.ScalarNode, kind: str) -> Any:
        plain = node.style is None
        if node.tag != self.resolver.resolve(yaml.ScalarNode, node.value, (plain, not plain)):
            raise self.refuse(node, f"the tag {node.tag!r} is not allowed here")
        if kind not in _SCALARS:
            return node.value  # dates and merge keys are words here
        try:
            return self.scalars.construct_object(node)
        except ValueError as error:
            raise self.refuse(node, f"{node.value!r} is no {kind}: {error}") from error

    def sequence(self, node: yaml.Node, place: Place) -> list[Any]:
        return [self.value(item, (*place, i)) for i, item in enumerate(node.value)]

    def mapping(self, node: yaml.Node, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.refuse(key_node, "a key must be a plain word")
            self.scalar(key_node, key_node.tag.removeprefix("tag:yaml.org,2002:"))
            key = str(key_node.value)
            if key in found:
                raise self.refuse(key_node, f"the key {key!r} stands here twice")
            inside = (*place, key)
            self.document.marks[inside] = _position(key_node)
            found[key] = self.value(value_node, inside)
        return found

    def refuse(self, node: yaml.Node, problem: str) -> InputError:
        line, column = _position(node)
        return InputError(f"{self.document.name}:{line}:{column}: {problem}")


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
