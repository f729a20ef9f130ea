"""Names that must be known, with a suggestion where one is misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

FEW = 6


def suggestion(word: str, known: Iterable[str]) -> str:
    """The nearest of the known words, and all of them where they are few or none is near."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if not near:
        near = [known for known in words if word and known.startswith(word.lower())][:1]
    listed = f"known: {', '.join(words)}"
    if not near:
        return listed
    return f"did you mean {near[0]!r}?" + (f" ({listed})" if len(words) <= FEW else "")


def known_name(kind: str, word: str, known: Iterable[str]) -> str:
    """`word` itself where it is one of `known`. Raises ValueError that says what is."""
    names = list(known)
    if word in names:
        return word
    if kind == "dataset" and ("/" in word or "\\" in word or word.startswith(".")):
        raise ValueError(
            f"a dataset is named, not given as a path ({word!r}); "
            f"use --data-dir for the folder; known: {', '.join(sorted(names))}"
        )
    raise ValueError(f"unknown {kind} {word!r}; {suggestion(word, names)}")
