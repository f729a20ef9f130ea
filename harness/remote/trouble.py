"""What OpenSSH says when it fails, as our errors: what happened, and the next step."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import MachineError
from harness.remote.address import Address

SSH_FAILED = 255
"""ssh's own exit code; any other is that of the command there."""


class LostConnectionError(MachineError):
    """The machine does not answer, or no longer: it may, if asked again."""


class BrokeOffError(LostConnectionError):
    """What was said there broke off, and ssh itself has nothing to say of it."""


class GoneError(MachineError):
    """The job's folder is no longer there."""


@dataclass(frozen=True)
class _Trouble:
    """`passes`: it may be gone when asked again."""

    pattern: str
    message: str
    next_step: str
    passes: bool = False


_TABLE = (
    _Trouble(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed"
        r"|differs from the key for the IP",
        "the host key of {host} is not the one that was known: another machine, or somebody "
        "between; nothing was sent",
        "ask its owner for the new key's fingerprint; where it is right, ssh-keygen -R {known} "
        "and connect once by hand: {ssh}",
    ),
    _Trouble(
        r"REVOKED HOST KEY",
        "the host key of {host} has been revoked; nothing was sent",
        "ask the machine's owner",
    ),
    _Trouble(
        r"Host key verification failed|No \S+ host key is known",
        "the host key of {host} is not known here, and a measurement asks no questions",
        "connect once by hand and compare the fingerprint: {ssh}",
    ),
    _Trouble(
        r"Permission denied \(|Too many authentication failures|No more authentication methods",
        "{host} refuses this user's keys",
        "try {ssh}; name the user in the address, ssh-add the key, or copy it there: ssh-copy-id",
    ),
    _Trouble(
        r"Could not resolve hostname|Name or service not known",
        "there is no host {name}, or no name server answers",
        "look at the address, and at Host in ~/.ssh/config",
        passes=True,  # the first look is not repeated: a wrong name fails at once
    ),
    _Trouble(
        r"Bad configuration option|terminating, \d+ bad configuration|Bad owner or permissions"
        r"|Can't open user config file",
        "ssh refuses its own configuration: {line}",
        "mend the file that it names",
    ),
    _Trouble(
        r"no matching (host key type|key exchange method|cipher|MAC)|Unable to negotiate",
        "{host} and this machine's ssh have no algorithm in common: {line}",
        "update the older of the two",
    ),
    _Trouble(
        r"Connection refused",
        "nothing listens at {host}",
        "is the machine on, and the port right ({ssh})?",
        passes=True,
    ),
    _Trouble(
        r"timed out|No route to host|Network is unreachable|Host is down|not responding",
        "{host} does not answer",
        "is the machine on, and the network between? {ssh}",
        passes=True,
    ),
    _Trouble(
        r"kex_exchange_identification|Connection (reset|closed)|Broken pipe|banner exchange"
        r"|Connection to .* closed|client_loop|Session open refused",
        "the connection to {host} was closed: {line}",
        "{ssh} says more",
        passes=True,
    ),
)


def explain(address: Address, stderr: str) -> MachineError:
    """What ssh's exit code 255 meant; a LostConnectionError where it may pass."""
    found = next((t for t in _TABLE if re.search(t.pattern, stderr, re.IGNORECASE)), None)
    line = _line(stderr, found.pattern if found else None)
    words = {
        "host": str(address),
        "name": address.host,
        "known": _known(address),
        "ssh": _by_hand(address),
        "line": line,
    }
    if found is None:
        told = f": {line}" if line else ""
        return LostConnectionError(
            f"the connection to {address} broke off{told}", f"{_by_hand(address)} says more"
        )
    kind = LostConnectionError if found.passes else MachineError
    return kind(found.message.format(**words), found.next_step.format(**words))


def _line(stderr: str, pattern: str | None) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if pattern is not None:
        for line in lines:
            if re.search(pattern, line, re.IGNORECASE):
                return line[:300]
    return lines[-1][:300] if lines else ""


def _by_hand(address: Address) -> str:
    user = "" if address.user is None else f"{address.user}@"
    port = "" if address.port is None else f"-p {address.port} "
    return f"ssh {port}{user}{address.host}"


def _known(address: Address) -> str:
    return address.host if address.port in (None, 22) else f"'[{address.host}]:{address.port}'"
