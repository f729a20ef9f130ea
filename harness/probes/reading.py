"""One suspicious line to what it says, by the first rule that matches it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import prod

from harness.model import MemoryEvent, MemoryKind, ResourceEvent
from harness.probes.rules import MEMORY_KINDS, Rule, rules

MAX_QUOTED = 1000
"""Letters of a line that are kept; a longer one is cut around what matched."""

HOST_ALLOCATORS = re.compile(r"cpu|mklcpu|\w*host_bfc|\w*_host_async|DefaultCPUAllocator")
"""Allocators over the host's own memory: TensorFlow's over malloc, pinned pools, PyTorch's.

Not among them is bfc_cpu_allocator_for_gpu, TensorFlow's pool of a size that was chosen: it stands
for a device's memory. `mklcpu` may take all that the machine has, so there the host refused.
"""

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_ITEM_BYTES = {
    **dict.fromkeys(("bool", "int8", "uint8", "qint8"), 1),
    **dict.fromkeys(("half", "float16", "bfloat16", "int16", "uint16"), 2),
    **dict.fromkeys(("float", "float32", "int32", "uint32"), 4),
    **dict.fromkeys(("double", "float64", "int64", "uint64", "complex64"), 8),
    "complex128": 16,
}
_SEVERITY = re.compile(
    rb"(?:\d: ([IWEF]) "  # classic
    rb"|(?:^|\s)([IWEF])\d{4} [\d:.]{8,30}\s{1,8}\d{1,10} "  # absl
    rb"|^([IWEF]) )\S{1,200}:\d+\]"
)


@dataclass(frozen=True)
class OtherError:
    """An error of a class that no allocator raises; `doubtful` where allocators raise it too."""

    line: str
    offset: int
    doubtful: bool = False


@dataclass(frozen=True)
class Aside:
    """The next error follows from an earlier one, or from the interpreter's end."""


@dataclass(frozen=True)
class PassedOn:
    """An error that says no more than what came before it, or than the lines below it will."""


Said = MemoryEvent | ResourceEvent | OtherError | Aside | PassedOn


def read(line: bytes, needles: tuple[bytes, ...], offset: int) -> Sequence[Said]:
    """What `line` says. Two processes may have written into one line: then it says it twice."""
    for rule in _candidates(needles):
        first = rule.first(line)
        if first is not None:
            matches = rule.pattern.finditer(line) if rule.kind in MEMORY_KINDS else (first,)
            return [said for match in matches for said in _events(rule, match, line, offset)]
    return ()


def parse_size(text: str) -> int:
    """Bytes of a size as allocators print it: ``3.42GiB``, ``4,52GiB``, ``2.12G``, ``512B``."""
    match = re.fullmatch(r"(\d{1,19}(?:[.,]\d{1,9})?)\s?([KMGTP]?)i?B?", text, re.ASCII)
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    return round(float(match[1].replace(",", ".")) * _UNITS[match[2]])


@lru_cache(maxsize=1024)
def _candidates(needles: tuple[bytes, ...]) -> tuple[Rule, ...]:
    found = {rule.order: rule for needle in needles for rule in _by_needle()[needle]}
    return tuple(found[order] for order in sorted(found))


@cache
def _by_needle() -> dict[bytes, tuple[Rule, ...]]:
    found: dict[bytes, tuple[Rule, ...]] = {}
    for rule in rules():
        for needle in rule.needles:
            found[needle] = (*found.get(needle, ()), rule)
    return found


def _events(rule: Rule, match: re.Match[bytes], line: bytes, offset: int) -> Iterator[Said]:
    if rule.kind in MEMORY_KINDS:
        yield _memory_event(rule, match, line, offset)
    elif rule.resource is not None:
        yield ResourceEvent(rule.resource, rule.id, _quoted(match, line), rule.hint, offset)
    elif rule.kind in ("error", "doubtful"):
        yield OtherError(_quoted(match, line), offset, rule.kind == "doubtful")
    elif rule.kind == "passed-on":
        yield PassedOn()
    elif rule.kind == "aside":
        yield Aside()


def _memory_event(rule: Rule, match: re.Match[bytes], line: bytes, offset: int) -> MemoryEvent:
    groups = {
        name: value.decode("utf-8", "replace")
        for name, value in match.groupdict().items()
        if value is not None
    }
    allocator = groups.get("allocator")
    shape = _shape(groups.get("shape"))
    return MemoryEvent(
        kind=_kind(rule, allocator),
        rule=rule.id,
        line=_quoted(match, line),
        allocator=allocator,
        requested_bytes=_requested(groups, shape),
        echo=rule.echo,
        op=groups.get("op") or None,
        shape=shape,
        severity=_severity(line[: match.start()]),
        offset=offset,
    )


def _kind(rule: Rule, allocator: str | None) -> MemoryKind:
    kind = MemoryKind(rule.kind)
    refused = kind in (MemoryKind.HARD, MemoryKind.UNCERTAIN)
    on_host = allocator is not None and HOST_ALLOCATORS.fullmatch(allocator) is not None
    return MemoryKind.HOST if refused and on_host else kind


def _requested(groups: dict[str, str], shape: tuple[int, ...] | None) -> int | None:
    exact = groups.get("bytes") or groups.get("bytes2")
    if exact is not None:
        return int(exact)
    if "size" in groups:
        return parse_size(groups["size"])
    item = _ITEM_BYTES.get(groups.get("dtype", ""))
    return None if shape is None or item is None else prod(shape) * item


def _shape(text: str | None) -> tuple[int, ...] | None:
    return None if text is None else tuple(map(int, re.findall(r"\d{1,19}", text)))


def _severity(before: bytes) -> str | None:
    """The letter of the last logger's prefix in what stands before the message."""
    found = _SEVERITY.findall(before[-400:])
    return next(filter(None, found[-1])).decode() if found else None


def _quoted(match: re.Match[bytes], line: bytes) -> str:
    start = max(0, match.start() - 200) if len(line) > MAX_QUOTED else 0
    return printable(line[start:])


def printable(line: bytes) -> str:
    """`line` as it may be shown and kept: bounded, and without what moves a terminal's cursor."""
    text = line[:MAX_QUOTED].decode("utf-8", "replace").strip()
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
