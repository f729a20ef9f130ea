"""A wheel of the harness that runs here, from a checkout as well as from an installed package.

`build` and `hatchling` make one from a checkout only, in an environment that they fetch first;
the `wheel` package's writer is no public interface. Of a pure Python package it is a zip file with
the package, its metadata and a list of hashes (PEP 427), which the standard library can write.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from harness.errors import MachineError
from harness.images import context

NAME = "dl-feasibility-harness"
PACKAGE = Path(__file__).parents[1]
_WHEEL = """Wheel-Version: 1.0
Generator: harness
Root-Is-Purelib: true
Tag: py3-none-any
"""
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The same files make the same wheel."""

_METADATA = ("METADATA", "entry_points.txt")


def build_wheel() -> tuple[str, bytes]:
    """Its file name and its content. Raises MachineError where the harness is not installed."""
    installed = _distribution()
    stem = f"{NAME.replace('-', '_')}-{installed.version}"
    files = {**dict(_package()), **dict(_metadata(installed, f"{stem}.dist-info"))}
    return f"{stem}-py3-none-any.whl", _zipped(files, f"{stem}.dist-info/RECORD")


def _distribution() -> Distribution:
    try:
        return distribution(NAME)
    except PackageNotFoundError as error:
        raise MachineError(
            "the harness is not installed here, only on the path: it cannot say what it needs",
            "pip install it (make install does), then try again",
        ) from error


def _package() -> Iterator[tuple[str, bytes]]:
    for path in sorted(PACKAGE.rglob("*")):
        inside = path.relative_to(PACKAGE)
        if path.is_file() and "__pycache__" not in inside.parts:
            yield f"harness/{inside.as_posix()}", path.read_bytes()
    if context.in_checkout():  # as pyproject.toml has it built
        for path in sorted(context.BESIDE.rglob("*")):
            inside = path.relative_to(context.BESIDE)
            if path.is_file() and "__pycache__" not in inside.parts:
                yield f"harness/_docker/{inside.as_posix()}", path.read_bytes()


def _metadata(installed: Distribution, folder: str) -> Iterator[tuple[str, bytes]]:
    for name in _METADATA:
        text = installed.read_text(name)
        if text is None:
            raise MachineError(f"this harness's installation lacks {name}", "pip install it again")
        yield f"{folder}/{name}", text.encode()
    yield f"{folder}/WHEEL", _WHEEL.encode()


def _zipped(files: dict[str, bytes], record: str) -> bytes:
    rows = [f"{_quoted(name)},sha256={_hash(data)},{len(data)}" for name, data in files.items()]
    files = {**files, record: "\n".join([*rows, f"{record},,", ""]).encode()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            about = zipfile.ZipInfo(name, _WHEN)
            about.external_attr = 0o644 << 16
            about.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(about, data)
    return content.getvalue()


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _quoted(name: str) -> str:
    return f'"{name}"' if "," in name else name
