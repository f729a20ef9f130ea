"""The JSON Schema of a matrix file, for editors: ``harness schema`` prints it."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from harness.matrix.schema import Matrix

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def matrix_schema() -> dict[str, Any]:
    """The schema of a whole file. It tells what an editor can; the harness checks more.

    Images of the user's own catalog pass, and are not in it: it is the same on every machine.
    """
    schema = Matrix.model_json_schema(schema_generator=_ForEditors)
    return {"$schema": DIALECT, **schema, "title": "A matrix of the harness"}


class _ForEditors(GenerateJsonSchema):
    """What pydantic tells, without what says nothing to somebody who writes the file."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """A key is left out, never null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """None and an empty section are no defaults to show."""
        found = super().default_schema(schema)
        if not isinstance(found.get("default"), (str, int)):
            found.pop("default", None)
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - theirs
        """The key is title enough."""
        return False
