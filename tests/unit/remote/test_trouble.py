"""What OpenSSH says, and what we make of it. The texts are those of OpenSSH 9.2."""

from __future__ import annotations

import pytest

from harness.remote import parse_address
from harness.remote.trouble import LostConnectionError, explain

HOST = "127.0.0.2"
ADDRESS = parse_address("ssh://me@127.0.0.2:2222")

CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key for [127.0.0.2]:2222 has changed and you have requested strict checking.
Host key verification failed.
"""
UNKNOWN = "Host key verification failed.\n"
STRICT = "No ED25519 host key is known for [127.0.0.2]:2222 and you have requested strict checking."
DENIED = "me@127.0.0.2: Permission denied (publickey).\n"
REFUSED = "ssh: connect to host 127.0.0.2 port 2222: Connection refused\n"
NO_NAME = "ssh: Could not resolve hostname gpu: Name or service not known\n"
NO_NAME_NOW = "ssh: Could not resolve hostname gpu: Temporary failure in name resolution\n"
TIMED_OUT = "ssh: connect to host 127.0.0.2 port 2222: Connection timed out\n"
NO_ROUTE = "ssh: connect to host 127.0.0.2 port 2222: No route to host\n"
KEX = "kex_exchange_identification: Connection closed by remote host\n"
RESET = "Connection reset by 127.0.0.2 port 2222\n"
SILENT = "Timeout, server 127.0.0.2 not responding.\n"
OPTION = "/home/me/.ssh/config: line 3: Bad configuration option: hots\n"
OLD = (
    "Unable to negotiate with 127.0.0.2 port 2222: no matching host key type found. "
    "Their offer: ssh-rsa\n"
)


@pytest.mark.parametrize(
    ("stderr", "said", "step", "passes"),
    [
        (CHANGED, "is not the one that was known", "ssh-keygen -R '[127.0.0.2]:2222'", False),
        (UNKNOWN, "is not known here", "ssh -p 2222 me@127.0.0.2", False),
        (STRICT, "is not known here", "ssh -p 2222 me@127.0.0.2", False),
        (DENIED, "refuses this user's keys", "ssh-copy-id", False),
        (NO_NAME, "there is no host 127.0.0.2", "~/.ssh/config", True),
        (NO_NAME_NOW, "no name server answers", "~/.ssh/config", True),
        (OPTION, "line 3: Bad configuration option: hots", "mend the file", False),
        (OLD, "no algorithm in common", "update", False),
        (REFUSED, "nothing listens at ssh://me@127.0.0.2:2222", "port right", True),
        (TIMED_OUT, "does not answer", "machine on", True),
        (NO_ROUTE, "does not answer", "machine on", True),
        (SILENT, "does not answer", "machine on", True),
        (KEX, "was closed: kex_exchange", "ssh -p 2222", True),
        (RESET, "was closed: Connection reset", "ssh -p 2222", True),
        ("", "broke off", "ssh -p 2222", True),
        ("something new\n", "broke off: something new", "ssh -p 2222", True),
    ],
)
def test_each_has_its_own_message_and_next_step(
    stderr: str, said: str, step: str, passes: bool
) -> None:
    error = explain(ADDRESS, "Welcome to this machine!\n" * 2 + stderr if stderr else "")
    assert said in error.message
    assert step in error.next_step
    assert isinstance(error, LostConnectionError) == passes
    for text in (error.message, error.next_step):
        assert "StrictHostKeyChecking" not in text
        assert "{" not in text
