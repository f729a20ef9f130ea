"""Stands in apptainer's place: keeps what it was called with, and runs the command unconfined.

It shows how the harness calls a program and deals with its process, and nothing of what a real
Apptainer does with the options. Files beside it change its ways: ``refuses`` holds words that it
ends with where they are among its arguments, ``says`` what it prints before it goes on.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import pairwise
from pathlib import Path

HERE = Path(sys.argv[0]).parent


def main(words: list[str]) -> None:
    with (HERE / "calls").open("a") as calls:
        calls.write(json.dumps([words, dict(os.environ)]) + "\n")
    for word in read("refuses").split():
        if word in words:
            sys.exit(f"INFO:    starting\nFATAL:   {word} is refused here")
    sys.stderr.write(read("says"))
    if words == ["--version"]:
        sys.stdout.write("apptainer version 1.3.6\n")
        return
    if words[0] == "pull":
        Path(words[-2]).write_text(words[-1])
        return
    end = next(n for n, word in enumerate(words) if word.endswith(".sif"))
    command = [outside(word, words[:end]) for word in words[end + 1 :]]
    os.execvpe(command[0], command, {"PATH": os.environ["PATH"], "FROM_IMAGE": "yes"})


def outside(word: str, options: list[str]) -> str:
    """`word` with the host's folder for the container's."""
    for option, value in pairwise(options):
        if option == "--bind":
            source, target, _ = value.split(":")
            word = word.replace(target, source)
    return word


def read(name: str) -> str:
    return (HERE / name).read_text() if (HERE / name).exists() else ""


if __name__ == "__main__":
    main(sys.argv[1:])
