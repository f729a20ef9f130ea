"""Values as YAML that people read: several lines as a block, the keys in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as a block, where YAML can hold it as one exactly."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - what is there twice stands twice
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def document(value: Any, comment: Sequence[str] = ()) -> str:
    """One YAML document below its comment, whose lines begin without ``#``."""
    told = "".join(f"# {line}".rstrip() + "\n" for line in comment)
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return told + text
