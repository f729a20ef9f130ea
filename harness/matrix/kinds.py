"""Kinds of value that pydantic has not: known words, axes, a value or a list of them.

Each says both how a value is checked and what an editor is told of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from harness.matrix.names import known_name


@dataclass(frozen=True)
class Known:
    """A word that must be one of `names()`, which is asked late, since catalogs are files.

    `told`: the names for the schema where a user's own file adds to them; it lets others pass.
    """

    kind: str
    names: Callable[[], Iterable[str]]
    told: Callable[[], Iterable[str]] | None = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        about = {k: v for k, v in handler(schema).items() if k == "description"}
        words = {"type": "string", "enum": list((self.told or self.names)())}
        return {**about, **({"anyOf": [words, {"type": "string"}]} if self.told else words)}

    def _checked(self, word: Any) -> Any:
        return known_name(self.kind, word, self.names()) if isinstance(word, str) else word


class AxisList:
    """Different values, at least one; in the schema an axis tells what its values tell."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        inner = core_schema.no_info_after_validator_function(_different, handler(source))
        return core_schema.no_info_before_validator_function(_axis, inner)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        about = {k: v for k, v in found["items"].items() if k == "description"}
        return {**found, **about, "minItems": 1, "uniqueItems": True}


class OneOrMore:
    """A value alone is a list of one."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = {**handler(schema), "minItems": 1}
        return {"anyOf": [found["items"], found]}


def _axis(value: Any) -> Any:
    if isinstance(value, list) and value:
        return value
    raise ValueError("an axis is a list of at least one value, such as [a, b]")


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A value that stands twice would make two cases of one."""
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"two values are the same: {value!r}")
        seen.add(value)
    return values


def _listed(value: Any) -> Any:
    if value == []:
        raise ValueError("an empty list says nothing; leave the key out")
    return [value] if isinstance(value, str) else value
