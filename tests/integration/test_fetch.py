"""Fetching from a server of the tests' own that misbehaves in every way a mirror can."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import harness.fetch.missing
from harness.catalog import DatasetEntry, FileEntry, Slice
from harness.errors import InputError, MachineError
from harness.fetch import Fetched, NoMirrorError, Patience, Terms, fetch_missing
from harness.fetch.asking import REDIRECTS
from tests.conftest import lacking, real_data, run_harness

IMAGES, LABELS = random.Random(7).randbytes(300_000), random.Random(8).randbytes(5_000)
CONTENT = {"images.gz": IMAGES, "labels.gz": LABELS}
CALM = Patience(answer_s=20)
HASTE = Patience(answer_s=1.5, window_s=1.0, slowest_bytes_per_s=10_000)
"""For mirrors that are silent or slow beyond bearing: a good one may be slow on a busy machine."""
UNANSWERED = f"did not answer within {HASTE.answer_s:g} s"
PROBE = "bytes=0-0"
"""What the harness asks of every mirror at once, to see who is there."""

Behaviour = Callable[["Request", bytes], None]


class Request(BaseHTTPRequestHandler):
    """One request; how it is answered is the mirror's behaviour."""

    protocol_version = "HTTP/1.1"
    mirror: Mirror

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.close_connection = True
        wanted = self.headers.get("Range", "")
        if wanted != PROBE:
            self.mirror.asked.append((name, wanted))
        with suppress(OSError):  # the harness may hang up
            self.mirror.behaviour(self, self.mirror.content.get(name, b""))

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()

    @property
    def start(self) -> int:
        return int((re.findall(r"bytes=(\d+)-", self.headers.get("Range", "")) or ["0"])[0])

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Mirror:
    """A server on loopback with one behaviour, and what it was asked for."""

    def __init__(self, behaviour: Behaviour, content: dict[str, bytes] | None = None) -> None:
        self.behaviour = behaviour
        self.content = CONTENT if content is None else content
        self.asked: list[tuple[str, str]] = []
        self.over = threading.Event()
        handler = type("Handler", (Request,), {"mirror": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.base = f"{self.root}/tiny/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirror() -> Iterator[Callable[..., Mirror]]:
    """Makes mirrors and ends them with the test."""
    made: list[Mirror] = []

    def make(behaviour: Behaviour, content: dict[str, bytes] | None = None) -> Mirror:
        made.append(Mirror(behaviour, content))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset of the test's own; loopback never goes through a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("HARNESS_MIRROR", raising=False)
    files = {
        name: FileEntry(bytes=len(data), md5="", sha256=hashlib.sha256(data).hexdigest())
        for name, data in CONTENT.items()
    }
    part = Slice(first=0, count=1, images="images.gz", labels="labels.gz")
    entry = DatasetEntry(about="", train=part, test=part, folder="tiny", files=files)
    monkeypatch.setattr(harness.fetch.missing, "datasets", lambda: {"tiny": entry})


# ------------------------------------------------------------------ behaviours


def good(request: Request, data: bytes) -> None:
    """As a proper server: whole, or from where it is asked."""
    start = request.start
    if "Range" in request.headers and start >= len(data):
        return request.head(416, Content_Length=0)
    if "Range" in request.headers:
        where = f"bytes {start}-{len(data) - 1}/{len(data)}"
        request.head(206, Content_Range=where, Content_Length=len(data) - start)
    else:
        request.head(200, Content_Length=len(data))
    request.wfile.write(data[start:])
    return None


def without_range(request: Request, data: bytes) -> None:
    request.head(200, Content_Length=len(data))
    request.wfile.write(data)


def without_length(request: Request, data: bytes) -> None:
    request.head(200)
    request.wfile.write(data)


def chunked(request: Request, data: bytes) -> None:
    request.head(200, Transfer_Encoding="chunked")
    for at in range(0, len(data), 40_000):
        piece = data[at : at + 40_000]
        request.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    request.wfile.write(b"0\r\n\r\n")


def called_gzip(request: Request, data: bytes) -> None:
    """As servers do that take .gz for an encoding."""
    request.head(200, Content_Length=len(data), Content_Encoding="gzip")
    request.wfile.write(data)


def unpacking(request: Request, data: bytes) -> None:
    """As servers do that unpack .gz files for clients that do not refuse it."""
    refused = request.headers.get("Accept-Encoding") == "identity"
    without_range(request, data if refused else data[::-1])


def slow(request: Request, data: bytes) -> None:
    """Slow, but it comes."""
    request.head(200, Content_Length=len(data))
    for at in range(0, len(data), 100_000):
        time.sleep(0.15)
        request.wfile.write(data[at : at + 100_000])


def silent(request: Request, data: bytes) -> None:
    request.mirror.over.wait(10)


def a_header_a_while(request: Request, data: bytes) -> None:
    """Never silent for long, and never done with its headers."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not request.mirror.over.wait(0.1):
        request.wfile.write(b"X-More: 1\r\n")


def silent_body(request: Request, data: bytes) -> None:
    request.head(200, Content_Length=len(data))
    request.mirror.over.wait(10)


def trickle(request: Request, data: bytes) -> None:
    request.head(200, Content_Length=len(data))
    for at in range(len(data)):
        request.wfile.write(data[at : at + 1])
        if request.mirror.over.wait(0.05):
            return


def half(request: Request, data: bytes) -> None:
    """Breaks off in the middle of the file, and goes on from there when asked."""
    if request.start:
        return good(request, data)
    return half_without_range(request, data)


def half_without_range(request: Request, data: bytes) -> None:
    request.head(200, Content_Length=len(data))
    request.wfile.write(data[: len(data) // 2])


def half_chunked(request: Request, data: bytes) -> None:
    request.head(200, Transfer_Encoding="chunked")
    request.wfile.write(b"%x\r\n%s" % (len(data), data[: len(data) // 2]))


def half_without_length(request: Request, data: bytes) -> None:
    request.head(200)
    request.wfile.write(data[: len(data) // 2])


def announces_less(request: Request, data: bytes) -> None:
    request.head(200, Content_Length=len(data) - 100)
    request.wfile.write(data)


def announces_more(request: Request, data: bytes) -> None:
    request.head(200, Content_Length=len(data) + 100)
    request.wfile.write(data)


def sends_more(request: Request, data: bytes) -> None:
    request.head(200)
    request.wfile.write(data + b"x" * 100)


def wrong(request: Request, data: bytes) -> None:
    good(request, bytes(len(data)))


def not_found(request: Request, data: bytes) -> None:
    request.head(404, Content_Length=0)


def overloaded(request: Request, data: bytes) -> None:
    request.head(503, Content_Length=0)


def in_circles(request: Request, data: bytes) -> None:
    request.head(302, Location=request.path, Content_Length=0)


def to_a_file(request: Request, data: bytes) -> None:
    request.head(302, Location="file:///etc/passwd", Content_Length=0)


def another_range(request: Request, data: bytes) -> None:
    """Answers a resume with the wrong part of the file."""
    if not request.start:
        return without_range(request, data)
    request.head(206, Content_Range=f"bytes 0-9/{len(data)}", Content_Length=10)
    request.wfile.write(data[:10])
    return None


def no_range(request: Request, data: bytes) -> None:
    """Refuses every resume."""
    if request.start:
        return request.head(416, Content_Length=0)
    return without_range(request, data)


# ------------------------------------------------------------------ the tests


def fetch(
    folder: Path,
    *mirrors: Mirror | str,
    said: list[str] | None = None,
    patience: Patience = CALM,
) -> Fetched:
    bases = [one if isinstance(one, str) else one.base for one in mirrors]
    notes = [] if said is None else said
    return fetch_missing(["tiny"], folder, notes.append, None, Terms(patience, {"tiny": bases}))


def whole(folder: Path) -> bool:
    """All files are there and right, and nothing else is."""
    return {path.name: path.read_bytes() for path in (folder / "tiny").iterdir()} == CONTENT


def closed_port() -> str:
    one = Mirror(good)
    one.close()
    return one.base


@pytest.mark.parametrize(
    "behaviour", [good, without_range, without_length, chunked, called_gzip, unpacking, slow]
)
def test_what_a_proper_mirror_sends_is_kept(
    behaviour: Behaviour, mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    said: list[str] = []
    one = mirror(behaviour)
    fetched = fetch(tmp_path, one, said=said)
    assert whole(tmp_path)
    assert fetched.bytes == 305_000
    assert len(fetched.files) == 2
    assert said[0] == f"fetching 2 files, 297.85 KiB, into {tmp_path}"
    assert said[1] == f"tiny/images.gz: 292.97 KiB from {one.base}, checksum right"
    assert (tmp_path / "tiny" / "images.gz").stat().st_mode & 0o777 == 0o666 & ~_umask()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (silent, UNANSWERED),
        (a_header_a_while, UNANSWERED),
        (silent_body, f"sent nothing for {HASTE.answer_s:g} s after 0 bytes"),
        (trickle, r"sent \d+ bytes in \d+ s"),
        (half_without_range, "broke off after 150000 of 300000 bytes"),
        (half_without_length, "broke off after 150000 of 300000 bytes"),
        (half_chunked, r"broke off after \d+ of 300000 bytes"),
        (announces_less, "announces 299900 bytes where the published file has 300000"),
        (announces_more, "announces 300100 bytes where the published file has 300000"),
        (sends_more, "sends more than the published 300000 bytes"),
        (wrong, "served other bytes than the published file's"),
        (not_found, "answered 404 Not Found"),
        (overloaded, "answered 503 Service Unavailable"),
        (in_circles, "redirects more than 5 times"),
        (to_a_file, "redirects to neither http nor https"),
    ],
)
def test_a_bad_mirror_is_left_for_the_next_and_named_where_none_is_better(
    behaviour: Behaviour, words: str, mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    bad = mirror(behaviour)
    started = time.monotonic()
    with pytest.raises(NoMirrorError) as caught:
        fetch(tmp_path, bad, patience=HASTE)
    assert time.monotonic() - started < 20
    assert caught.value.exit_code == 3
    assert re.search(f"tiny/images.gz.*: {bad.base} {words}", caught.value.message)
    assert "HARNESS_MIRROR" in caught.value.next_step
    assert not (tmp_path / "tiny" / "images.gz").exists()
    said: list[str] = []
    fetch(tmp_path, bad, mirror(good), said=said, patience=HASTE)
    assert whole(tmp_path)
    assert any(re.search(f"{bad.base} {words}", line) for line in said)


def test_nobody_is_asked_for_ever(mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    circles, breaks = mirror(in_circles), mirror(half_without_range)
    with pytest.raises(NoMirrorError):
        fetch(tmp_path, circles, breaks)
    assert circles.asked.count(("images.gz", "")) == 1 + REDIRECTS
    assert [name for name, _ in breaks.asked].count("images.gz") == 2


def test_a_mirror_that_is_not_there_is_asked_once(
    mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    said: list[str] = []
    fetch(tmp_path, closed_port(), mirror(good), said=said)
    assert whole(tmp_path)
    assert len([line for line in said if "cannot be reached (Connection refused)" in line]) == 1


def test_mirrors_that_are_silent_are_waited_for_together(
    mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    silent_ones = [mirror(silent) for _ in range(4)]
    started = time.monotonic()
    with pytest.raises(NoMirrorError) as caught:
        fetch(tmp_path, *silent_ones, patience=HASTE)
    assert time.monotonic() - started < 3 * HASTE.answer_s
    assert caught.value.message.count(UNANSWERED) == 4
    assert [one.asked for one in silent_ones] == [[], [], [], []]


def test_a_mirror_that_breaks_off_goes_on_where_it_stopped(
    mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    one = mirror(half)
    fetch(tmp_path, one)
    assert whole(tmp_path)
    assert one.asked[:2] == [("images.gz", ""), ("images.gz", "bytes=150000-")]


def test_the_next_mirror_goes_on_where_the_first_broke_off(
    mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    one, two = mirror(half_without_range), mirror(good)
    fetch(tmp_path, one, two)
    assert whole(tmp_path)
    assert two.asked[0] == ("images.gz", "bytes=150000-")


@pytest.mark.parametrize("behaviour", [without_range, another_range, no_range])
def test_where_a_mirror_cannot_go_on_it_starts_over(
    behaviour: Behaviour, mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    part = tmp_path / "tiny" / "images.gz.part"
    part.parent.mkdir()
    part.write_bytes(IMAGES[:1000])
    one = mirror(behaviour)
    fetch(tmp_path, one)
    assert whole(tmp_path)
    assert one.asked[0] == ("images.gz", "bytes=1000-")


@pytest.mark.parametrize("left", [b"not the file's", bytes(300_000), bytes(400_000)])
def test_what_an_earlier_download_left_may_be_wrong_and_is_no_mirrors_fault(
    left: bytes, mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    part = tmp_path / "tiny" / "images.gz.part"
    part.parent.mkdir()
    part.write_bytes(left)
    said: list[str] = []
    fetch(tmp_path, mirror(good), said=said)
    assert whole(tmp_path)
    assert not [line for line in said if "other bytes" in line]


def test_redirects_are_followed(mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    there = mirror(good)

    def elsewhere(request: Request, data: bytes) -> None:
        request.head(302, Location=there.root + request.path, Content_Length=0)

    fetch(tmp_path, mirror(elsewhere))
    assert whole(tmp_path)


def test_what_is_here_is_kept_and_nobody_is_asked(
    mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    one = mirror(good)
    fetch(tmp_path, one)
    before = (tmp_path / "tiny" / "images.gz").stat()
    one.asked.clear()
    assert fetch(tmp_path, one) == Fetched()
    (tmp_path / "tiny" / "labels.gz").unlink()
    assert [path.name for path in fetch(tmp_path, one).files] == ["labels.gz"]
    assert one.asked == [("labels.gz", "")]
    after = (tmp_path / "tiny" / "images.gz").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_damaged_file_is_replaced_only_on_request_and_only_by_the_right_one(
    mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    fetch(tmp_path, mirror(good))
    damaged = tmp_path / "tiny" / "labels.gz"
    damaged.write_bytes(b"damaged")
    with pytest.raises(MachineError, match="is damaged") as caught:
        fetch(tmp_path, mirror(good))
    assert "harness data fetch" in caught.value.next_step
    bad = Terms(CALM, {"tiny": [mirror(wrong).base]}, replace_damaged=True)
    with pytest.raises(NoMirrorError):
        fetch_missing(["tiny"], tmp_path, lambda text: None, None, bad)
    assert damaged.read_bytes() == b"damaged"
    said: list[str] = []
    terms = Terms(CALM, {"tiny": [mirror(good).base]}, replace_damaged=True)
    fetch_missing(["tiny"], tmp_path, said.append, None, terms)
    assert whole(tmp_path)
    assert f"{damaged} is damaged: fetching it anew" in said


def test_what_can_be_fetched_is_before_the_rest_is_an_error(
    mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    def labels_only(request: Request, data: bytes) -> None:
        good(request, data) if len(data) == 5000 else not_found(request, data)

    with pytest.raises(NoMirrorError, match=r"no mirror gave tiny/images\.gz: http"):
        fetch(tmp_path, mirror(labels_only))
    assert (tmp_path / "tiny" / "labels.gz").read_bytes() == LABELS


def test_progress_ends_with_the_whole_file(mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    terms = Terms(CALM, {"tiny": [mirror(good).base]})
    fetch_missing(["tiny"], tmp_path, lambda text: None, lambda *told: seen.append(told), terms)
    of_images = [done for label, done, total in seen if label == "tiny/images.gz"]
    assert of_images == sorted(of_images)
    assert (of_images[0], of_images[-1]) == (0, 300_000)
    assert seen[-1] == ("tiny/labels.gz", 5000, 5000)


def test_a_full_disk_is_found_before_anybody_is_asked(
    mirror: Callable[..., Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1 << 20}))
    one = mirror(good)
    with pytest.raises(MachineError, match=r"has 1.00 MiB free; the datasets need 297.85 KiB"):
        fetch(tmp_path, one)
    assert one.asked == []


@pytest.mark.usefixtures("as_root")
def test_a_disk_that_fills_meanwhile(
    mirror: Callable[..., Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1 << 30}))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", small], check=True)
    try:
        with pytest.raises(MachineError, match="No space left on device") as caught:
            fetch(small, mirror(good))
        assert "free some space" in caught.value.next_step
    finally:
        subprocess.run(["umount", small], check=True)


def test_two_at_once_fetch_each_file_once(mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    one = mirror(slow)
    said: list[str] = []
    both = [
        threading.Thread(target=fetch, args=(tmp_path, one), kwargs={"said": said})
        for _ in range(2)
    ]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert whole(tmp_path)
    assert sorted(name for name, _ in one.asked) == ["images.gz", "labels.gz"]
    assert f"another harness is fetching into {tmp_path}: waiting for it" in said


def test_a_mirror_of_the_users_own_comes_first_and_its_password_is_not_shown(
    mirror: Callable[..., Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, published = mirror(not_found), mirror(good)
    monkeypatch.setenv("HARNESS_MIRROR", own.root.replace("//", "//user:secret@"))
    said: list[str] = []
    fetch(tmp_path, published, said=said)
    assert whole(tmp_path)
    assert own.asked == [("images.gz", ""), ("labels.gz", "")]
    assert f"tiny/images.gz: {own.base} answered 404 Not Found" in said
    assert "secret" not in "".join(said)
    monkeypatch.setenv("HARNESS_MIRROR", "ftp://user:secret@example.org")
    with pytest.raises(InputError, match=r"ftp://example.org/tiny/ is no mirror") as caught:
        fetch(tmp_path / "new", published)
    assert "secret" not in caught.value.message


# ------------------------------------------------------------------ the command


@pytest.fixture
def real(mirror: Callable[..., Mirror]) -> Callable[[Behaviour], Mirror]:
    """Mirrors of the real MNIST test files."""
    data = real_data()
    if data is None:
        lacking("the real MNIST test files are not here")
        raise AssertionError
    content = {path.name: path.read_bytes() for path in (data / "mnist").glob("t10k-*")}
    return lambda behaviour: mirror(behaviour, content)


def alone_with(one: Mirror, folder: Path) -> dict[str, str]:
    """An environment in which only this mirror can be reached."""
    nowhere = "http://127.0.0.1:9"
    proxies = {"http_proxy": nowhere, "https_proxy": nowhere, "no_proxy": "127.0.0.1"}
    upper = {name.upper(): value for name, value in proxies.items()}
    return {**proxies, **upper, "HARNESS_MIRROR": one.root, "HARNESS_DATA_DIR": str(folder)}


def test_the_command_fetches_real_files_once(
    real: Callable[[Behaviour], Mirror], tmp_path: Path
) -> None:
    one = real(half)
    line = ["data", "fetch", "mnist-10k", "synthetic", "--data-dir", str(tmp_path / "new")]
    env = alone_with(one, tmp_path / "other")
    ended = run_harness(*line, env=env)
    assert ended.returncode == 0, ended.stderr
    assert f"fetching 2 files, 1.58 MiB, into {tmp_path / 'new'}" in ended.stderr
    assert "checksum right" in ended.stderr
    assert ended.stdout.splitlines() == [
        "synthetic: generated, nothing to fetch",
        f"mnist-10k: fetched ({tmp_path / 'new' / 'mnist'})",
    ]
    one.asked.clear()
    ended = run_harness(*line[:3], env={**env, "HARNESS_DATA_DIR": str(tmp_path / "new")})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"mnist-10k: already there ({tmp_path / 'new' / 'mnist'})\n"
    assert one.asked == []
    verified = run_harness("data", "verify", "mnist-10k", "--data-dir", tmp_path / "new")
    assert verified.returncode == 0, verified.stdout


def test_the_command_says_what_each_mirror_did(
    mirror: Callable[..., Mirror], tmp_path: Path
) -> None:
    one = mirror(not_found)
    ended = run_harness("data", "fetch", "mnist", env=alone_with(one, tmp_path / "new"))
    assert ended.returncode == 3
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    last = ended.stderr.splitlines()[-2:]
    assert last[0].startswith("error: no mirror gave mnist/train-images-idx3-ubyte.gz, mnist/")
    assert f"{one.root}/mnist/ answered 404 Not Found; https://ossci-" in last[0]
    assert last[0].count("is not to be had through the proxy") == 2
    assert last[1].startswith("  try: check the network and run the same command")


def test_the_command_mends_a_damaged_file_where_it_lies(
    real: Callable[[Behaviour], Mirror], tmp_path: Path
) -> None:
    one = real(good)
    (tmp_path / "store" / "digits").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mnist").symlink_to(tmp_path / "store" / "digits")
    for name, data in one.content.items():
        (tmp_path / "store" / "digits" / name).write_bytes(data[:-1])
    ended = run_harness("data", "fetch", "mnist-10k", env=alone_with(one, tmp_path / "data"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("is damaged: fetching it anew") == 2
    for name, data in one.content.items():
        assert (tmp_path / "store" / "digits" / name).read_bytes() == data


@pytest.mark.usefixtures("as_root")
def test_the_command_names_a_folder_it_may_not_write(
    real: Callable[[Behaviour], Mirror], tmp_path: Path
) -> None:
    """As a disk that is mounted read-only, since root may write everywhere else."""
    one = real(good)
    here = tmp_path / "data"
    here.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", here], check=True)
    try:
        (here / "mnist").mkdir()
        for name, data in one.content.items():
            (here / "mnist" / name).write_bytes(data[:-1])
        subprocess.run(["mount", "-o", "remount,ro", here], check=True)
        ended = run_harness("data", "fetch", "mnist-10k", env=alone_with(one, here))
        assert (ended.returncode, ended.stdout) == (3, "")
        assert f"error: {here}/mnist cannot be written" in ended.stderr
        ended = run_harness("data", "fetch", "mnist-10k", "--data-dir", here)
        assert (ended.returncode, ended.stdout) == (3, "")
        assert f"error: the data folder cannot be written: {here}" in ended.stderr
        env = {**alone_with(one, here / "new"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        ended = run_harness("data", "fetch", "mnist-10k", env=env)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout == f"mnist-10k: fetched ({tmp_path}/cache/harness/data/mnist)\n"
    finally:
        subprocess.run(["umount", here], check=True)


def test_the_command_refuses_unknown_names_and_folders_it_cannot_write(tmp_path: Path) -> None:
    ended = run_harness("data", "fetch", "mnits")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "did you mean 'mnist'?" in ended.stderr
    (tmp_path / "file").write_text("")
    ended = run_harness("data", "fetch", "mnist", "--data-dir", tmp_path / "file")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "the data folder cannot be written" in ended.stderr


def test_ctrl_c_leaves_only_what_the_next_call_goes_on_from(
    real: Callable[[Behaviour], Mirror], tmp_path: Path
) -> None:
    def stops_after_half(request: Request, data: bytes) -> None:
        request.head(200, Content_Length=len(data))
        request.wfile.write(data[: len(data) // 2])
        request.mirror.over.wait(30)

    one = real(stops_after_half)
    started = subprocess.Popen(
        [sys.executable, "-m", "harness", "data", "fetch", "mnist-10k"],
        env={**os.environ, **alone_with(one, tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    part = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "the same command goes on from there" in err
    assert [path.name for path in (tmp_path / "mnist").iterdir()] == [part.name]
    here = part.stat().st_size
    assert here > 0
    one.behaviour = good
    one.asked.clear()
    ended = run_harness("data", "fetch", "mnist-10k", env=alone_with(one, tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert one.asked[0] == ("t10k-images-idx3-ubyte.gz", f"bytes={here}-")
    assert ended.stdout == f"mnist-10k: fetched ({tmp_path / 'mnist'})\n"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
