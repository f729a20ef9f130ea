"""Names that recognise a card or a machine again and tell nobody which one it is.

An HMAC with a secret that only this user of this machine has: who gets the results can neither
work out nor confirm the identifier behind a name.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

SALT_BYTES = 32
PREFIX = "salted-"


def salted(identifier: str) -> str:
    """The name that stands for a UUID in whatever is written: 16 hexadecimal digits of its HMAC."""
    return PREFIX + salted_hash(identifier)[:16]


def salted_hash(text: str) -> str:
    """HMAC-SHA256 of `text` with this user's secret, as 64 hexadecimal digits."""
    return hmac.new(salt(), text.encode(), hashlib.sha256).hexdigest()


@cache
def salt() -> bytes:
    """This user's secret, made on first use.

    Where no file can hold it, it lasts as long as the process: nothing is recognised again.
    """
    for path in _places():
        with suppress(OSError):
            return kept(path)
    return secrets.token_bytes(SALT_BYTES)


def kept(path: Path) -> bytes:
    """The secret in the file `path`, made where there is none. Raises OSError.

    A file that others may read, or may have put there, is not trusted.
    """
    with suppress(FileNotFoundError):
        return _read(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SALT_BYTES))
        with suppress(FileExistsError):  # another harness was faster
            os.link(temporary, path)
    finally:
        temporary.unlink()
    return _read(path)


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        about = os.fstat(file.fileno())
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
            raise PermissionError(f"{path} is not this user's alone")
        secret = file.read(SALT_BYTES)
    if len(secret) != SALT_BYTES:
        raise OSError(f"{path} holds no secret")
    return secret


def _places() -> Iterable[Path]:
    """The user's own folder for such things; where there is no home, the temporary one."""
    import platformdirs

    with suppress(RuntimeError):  # no home
        folder = Path(platformdirs.user_state_dir("harness"))
        if folder.is_absolute():
            yield folder / "salt"
    yield Path(tempfile.gettempdir()) / f"harness-{os.geteuid()}.salt"
