"""Which lines of a log are worth a look: one pass at the speed of C over everything else.

A pattern that begins with one fixed letter is searched for at the speed of memory; one that begins
with any of several is not, and a dozen plain texts take a dozen passes. So the letters that are
rare in logs are all made one, and each needle is looked for from its first rare letter on. What is
found may differ from its needle in a rare letter: the rules, which match the text itself, decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from heapq import merge

from harness.probes.rules import rules
from harness.workload import contract

ANCHORS = b"ONqvUX'<yxEbB"
"""Letters that are rare in logs, the preferred first. Every needle holds one of them."""

_RARE = b"\x01"
_MADE_ONE = bytes.maketrans(ANCHORS, _RARE * len(ANCHORS))

_EVENT = contract.EVENT_PREFIX.encode()
_LINE_END = ord("\n")

Line = tuple[int, int, tuple[bytes, ...]]
"""Where a line begins and ends, and the needles that may stand in it: none in the workload's."""


def lines(block: bytes) -> Iterator[Line]:
    """In their order, the lines of `block` that hold a needle and those that are the workload's."""
    if _EVENT in block:
        return merge(_events(block), _suspects(block))
    return _suspects(block)


def _events(block: bytes) -> Iterator[Line]:
    place = block.find(_EVENT)
    while place >= 0:
        end = block.find(b"\n", place)
        if end < 0:
            end = len(block)
        if place == 0 or block[place - 1] == _LINE_END:
            yield place, end, ()
        place = block.find(_EVENT, end)


def _suspects(block: bytes) -> Iterator[Line]:
    by_tail = _by_tail()
    start, end = 0, -1
    needles: list[bytes] = []
    for found in _needles().finditer(block.translate(_MADE_ONE)):
        place = found.start()
        if place > end:
            if needles:
                yield start, end, tuple(needles)
                needles = []
            start, end = block.rfind(b"\n", 0, place) + 1, block.find(b"\n", place)
            if end < 0:
                end = len(block)
        possible = by_tail[found[0]]
        for needle in possible if len(possible) == 1 else _standing(possible, block, found.end()):
            if needle not in needles:
                needles.append(needle)
    if needles:
        yield start, end, tuple(needles)


def _standing(needles: tuple[bytes, ...], block: bytes, end: int) -> Iterator[bytes]:
    return (needle for needle in needles if block.endswith(needle, 0, end))


@cache
def _by_tail() -> dict[bytes, tuple[bytes, ...]]:
    """The needles by what the search finds of them: from the first preferred rare letter on."""
    found: dict[bytes, tuple[bytes, ...]] = {}
    for needle in sorted({needle for rule in rules() for needle in rule.needles}):
        place = next(needle.index(letter) for letter in ANCHORS if letter in needle)
        tail = needle[place:].translate(_MADE_ONE)
        found[tail] = (*found.get(tail, ()), needle)
    return found


@cache
def _needles() -> re.Pattern[bytes]:
    """The tails by their second letter, so that most are ruled out by comparing one."""
    by_second: dict[bytes, list[bytes]] = {}
    for tail, needles in sorted(_by_tail().items(), key=_longest_first):
        # The text behind comes first: a plain comparison is cheaper than looking back.
        shared = _behind(_shared_end(needles))
        whole = b"|".join(map(_behind, needles)) if len(needles) > 1 else b""
        by_second.setdefault(tail[1:2], []).append(re.escape(tail[2:]) + shared + b"(?:%s)" % whole)
    second = [re.escape(letter) + b"(?:%s)" % b"|".join(all_) for letter, all_ in by_second.items()]
    return re.compile(_RARE + b"(?:%s)" % b"|".join(second))


def _longest_first(entry: tuple[bytes, tuple[bytes, ...]]) -> int:
    return -len(entry[0])


def _behind(text: bytes) -> bytes:
    return b"(?<=%s)" % re.escape(text.translate(_MADE_ONE))


def _shared_end(needles: tuple[bytes, ...]) -> bytes:
    first = needles[0]
    ends = (first[place:] for place in range(len(first)))
    return next(end for end in ends if all(needle.endswith(end) for needle in needles))
