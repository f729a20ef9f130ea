"""The two scripts that an exported task runs, and the matrix as a part of one."""

from __future__ import annotations

from importlib import resources

from harness.export.source import Source


def script(name: str) -> str:
    """``setup.sh`` or ``run.sh``: the same text in every export; what differs are variables."""
    return (resources.files("harness.export") / name).read_text("utf-8")


def write_matrix(of: Source) -> str:
    """Shell lines that write the matrix where set-up looks for it, byte for byte.

    The last word of the here-document holds the matrix's own checksum, so that no line of the
    matrix can be it; `head` takes the line's end away that a here-document adds.
    """
    end = f"MATRIX_{of.sha256[:16]}"
    size = len(of.text.encode())
    return (
        'mkdir -p "${HARNESS_HOME:-$HOME/harness-export}"\n'
        f"head -c {size} >\"${{HARNESS_HOME:-$HOME/harness-export}}/matrix.yaml\" <<'{end}'\n"
        f"{of.text}\n{end}\n"
    )
