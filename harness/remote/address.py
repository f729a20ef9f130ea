"""Where a machine is: ``ssh://[user@]host[:port][/folder]``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from harness.errors import InputError

_FORM = "write ssh://user@host, with :port and /folder where they are needed"
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@\\-]*")


@dataclass(frozen=True)
class Address:
    """A machine as OpenSSH is told of it; `host` may be a name of the user's ssh_config.

    `folder` is where the job's files go there; None is the user's cache.
    """

    host: str
    user: str | None = None
    port: int | None = None
    folder: str | None = None

    def __str__(self) -> str:
        """What `parse_address` reads again."""
        user = "" if self.user is None else f"{self.user.replace('@', '%40')}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"ssh://{user}{host.replace('%', '%25')}{port}{self.folder or ''}"

    def arguments(self) -> list[str]:
        """The part of ssh's command line that names the machine; the command follows it."""
        user = [] if self.user is None else ["-l", self.user]
        port = [] if self.port is None else ["-p", str(self.port)]
        return [*user, *port, "--", self.host]


def parse_address(text: str) -> Address:
    """The address in `text`. Raises InputError, which says what is wrong with it."""
    scheme, separator, rest = text.partition("://")
    if scheme.lower() != "ssh" or not separator:
        raise InputError(f"--on {text!r} is no address of a machine", _FORM)
    try:
        parts = urlsplit(f"ssh://{rest}")
        host, port, user = _host_of(parts.netloc), parts.port, parts.username
    except ValueError as error:
        raise InputError(f"--on {text}: {error}", _FORM) from error
    if parts.password is not None:
        raise InputError(
            f"--on ssh://…@{host} holds a password, which everybody on this machine could read",
            "use a key: ssh-keygen, then ssh-copy-id; ssh-agent holds its passphrase",
        )
    if parts.query or parts.fragment:
        raise InputError(f"--on {text}: an address has no ? and no #", _FORM)
    user = None if user is None else unquote(user)
    if not (_HOST.fullmatch(host) or (":" in host and _IPV6.fullmatch(host))):
        raise InputError(f"--on {text}: {host!r} is no name of a host", _FORM)
    if user is not None and not _USER.fullmatch(user):
        raise InputError(f"--on {text}: {user!r} is no name of a user", _FORM)
    if port == 0:
        raise InputError(f"--on {text}: ports begin with 1", _FORM)
    return Address(host, user, port, _folder(text, parts.path))


def _host_of(netloc: str) -> str:
    """As it was written: `urlsplit` makes it lower case, and ssh_config knows the difference."""
    place = netloc.rpartition("@")[2]
    bracketed = re.fullmatch(r"\[([^\[\]]*)\](:[0-9]*)?", place)
    if bracketed:
        return unquote(bracketed[1])
    return place.partition(":")[0]


def _folder(text: str, path: str) -> str | None:
    folder = path.rstrip("/")
    if not folder:
        return None
    if ".." in PurePosixPath(folder).parts or not folder.isprintable() or "%" in folder:
        raise InputError(f"--on {text}: the folder {folder} is not a plain path", _FORM)
    return folder


def labels(addresses: list[Address]) -> list[str]:
    """A short name for each: the host, with what tells it apart where several are alike."""
    hosts = [address.host for address in addresses]
    return [
        address.host if hosts.count(address.host) == 1 else str(address).removeprefix("ssh://")
        for address in addresses
    ]
