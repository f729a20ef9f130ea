"""Asking a mirror for a file: what it answers within the time that it has, or why it is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requests import Response

REDIRECTS = 5


@dataclass(frozen=True)
class Patience:
    """How long a mirror may keep us waiting.

    `answer_s` seconds until it answers (name look-up, connection, redirects and headers together)
    and again between two pieces of the file. Over any `window_s` seconds it must send at least
    `slowest_bytes_per_s` on average.
    """

    answer_s: float = 10.0
    window_s: float = 30.0
    slowest_bytes_per_s: float = 1024.0


class Fault(Enum):
    """What follows from a mirror's failure."""

    GONE = "not asked again for any file"
    BROKE_OFF = "asked again for the same file after the others"
    WRONG = "not asked again for the same file"


class MirrorFailed(Exception):  # noqa: N818 - a finding, caught in this room
    """A mirror is left for the next one. `reason` goes on from the mirror's name."""

    def __init__(self, reason: str, fault: Fault = Fault.WRONG) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fault = fault


def ask(url: str, offset: int, patience: Patience) -> Response:
    """The answer to a request for the bytes from `offset` on, its body still to be read.

    Raises MirrorFailed. The request runs in a thread of its own, since a name look-up or headers
    that come a byte at a time keep to no socket's time-out.
    """
    question = _Question(url, f"bytes={offset}-" if offset else "", patience)
    try:
        return _opened(question.box.get(timeout=patience.answer_s)[1], patience)
    except Empty:
        question.give_up()
        raise _no_answer(patience) from None
    except KeyboardInterrupt:
        question.give_up()
        raise


def first_answers(
    groups: Sequence[Sequence[str]], patience: Patience
) -> dict[str, MirrorFailed | None]:
    """Ask all addresses at once; return when each group has one that answered, or time is up.

    Any answer counts, an error too: somebody is there. An address maps to None where it answered
    and to its failure where it did not; one still unknown when every group was served is left
    out. So a machine without a network waits `answer_s` in all, not for each mirror.
    """
    box: SimpleQueue[tuple[str, Response | Exception]] = SimpleQueue()
    urls = dict.fromkeys(url for group in groups for url in group)
    questions = [_Question(url, "bytes=0-0", patience, box) for url in urls]
    known: dict[str, MirrorFailed | None] = {}
    until = time.monotonic() + patience.answer_s
    try:
        while not all(_served(group, known) for group in groups):
            url, got = box.get(timeout=max(until - time.monotonic(), 0.001))
            try:
                _opened(got, patience).close()
                known[url] = None
            except MirrorFailed as failure:
                known[url] = failure
    except Empty:
        known.update({url: _no_answer(patience) for url in urls if url not in known})
    finally:
        for question in questions:
            question.give_up()
    return known


def _served(group: Sequence[str], known: dict[str, MirrorFailed | None]) -> bool:
    if any(url in known and known[url] is None for url in group):
        return True
    return all(url in known for url in group)


class _Question:
    """One request in a thread; what comes of it is put into `box` beside the address."""

    def __init__(
        self,
        url: str,
        wanted_range: str,
        patience: Patience,
        box: SimpleQueue[tuple[str, Response | Exception]] | None = None,
    ) -> None:
        self.box: SimpleQueue[tuple[str, Response | Exception]] = box or SimpleQueue()
        self._given_up = threading.Event()
        # A daemon: a name look-up that hangs must not keep the process from ending.
        threading.Thread(target=self._run, args=(url, wanted_range, patience), daemon=True).start()

    def give_up(self) -> None:
        """Close the connection when an answer comes after all."""
        self._given_up.set()

    def _run(self, url: str, wanted_range: str, patience: Patience) -> None:
        try:
            got: Response | Exception = _get(url, wanted_range, patience.answer_s)
        except Exception as error:
            got = error
        if self._given_up.is_set() and not isinstance(got, Exception):
            got.close()
        self.box.put((url, got))


def _get(url: str, wanted_range: str, timeout: float) -> Response:
    import requests

    from harness import __version__

    # Some servers unpack a .gz file on the way unless told not to; its checksum would be another.
    headers = {"Accept-Encoding": "identity", "User-Agent": f"harness/{__version__}"}
    if wanted_range:
        headers["Range"] = wanted_range
    with requests.Session() as session:
        session.max_redirects = REDIRECTS
        return session.get(url, headers=headers, stream=True, timeout=timeout)


def _opened(got: Response | Exception, patience: Patience) -> Response:
    """The response, or what went wrong in words. Raises MirrorFailed."""
    from requests import exceptions

    if not isinstance(got, Exception):
        return got
    if isinstance(got, exceptions.Timeout):
        raise _no_answer(patience)
    words: list[tuple[type[Exception], str, Fault]] = [
        (exceptions.SSLError, "has a certificate that is not trusted here", Fault.GONE),
        (exceptions.ProxyError, "is not to be had through the proxy", Fault.GONE),
        (exceptions.ConnectionError, f"cannot be reached ({_cause(got)})", Fault.GONE),
        (exceptions.TooManyRedirects, f"redirects more than {REDIRECTS} times", Fault.WRONG),
        (exceptions.InvalidSchema, "redirects to neither http nor https", Fault.WRONG),
    ]
    for kind, reason, fault in words:
        if isinstance(got, kind):
            raise MirrorFailed(reason, fault)
    raise MirrorFailed(f"gave no proper answer ({type(got).__name__})")


def _no_answer(patience: Patience) -> MirrorFailed:
    return MirrorFailed(f"did not answer within {patience.answer_s:g} s", Fault.GONE)


def _cause(error: object) -> str:
    """The system's word for why there is no connection; never the address, nor what is in it."""
    while isinstance(error, BaseException):
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return "no connection"
