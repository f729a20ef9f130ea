"""Parts of fetching that need no server: addresses, places, what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.catalog import FileEntry, datasets
from harness.errors import InputError, MachineError
from harness.fetch import MIRROR_SETTING, EveryTenSeconds, Patience, writable_folder
from harness.fetch.download import ResumingDownload, Wanted
from harness.fetch.mirrors import listed, mirrors_of, shown
from harness.fetch.progress import Bar, Lines


@pytest.fixture(autouse=True)
def no_mirror_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MIRROR_SETTING, raising=False)


def test_every_published_dataset_has_several_mirrors() -> None:
    published = {name: entry for name, entry in datasets().items() if entry.files}
    assert set(published) == {"mnist", "fashion-mnist", "mnist-10k"}
    for entry in published.values():
        assert entry.folder is not None
        assert len(mirrors_of(entry.folder, entry.mirrors)) >= 2
    assert datasets()["mnist"].mirrors[0] == "https://ossci-datasets.s3.amazonaws.com/mnist/"
    assert datasets()["mnist-10k"].mirrors == datasets()["mnist"].mirrors
    assert datasets()["synthetic"].mirrors == ()


def test_ten_seconds_is_what_a_mirror_has() -> None:
    assert Patience().answer_s == 10


def test_the_users_mirror_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    published = ("https://a.example/x/", "http://b.example/y")
    assert mirrors_of("mnist", published) == ("https://a.example/x/", "http://b.example/y/")
    monkeypatch.setenv(MIRROR_SETTING, "http://own.example:81/data/")
    assert mirrors_of("mnist", published)[0] == "http://own.example:81/data/mnist/"
    assert mirrors_of("mnist", published, {"mnist": ["http://c/"]})[1:] == ("http://c/",)


@pytest.mark.parametrize(
    "address",
    ["file:///etc", "ftp://host/x", "host/x", "//host", "http://", "http://h:99999/", "http://[x/"]
    + ["http://h/?token=secret", "http://h/#secret"],
)
def test_what_is_no_mirror(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR_SETTING, address)
    with pytest.raises(InputError, match="is no mirror") as caught:
        mirrors_of("mnist", ())
    assert caught.value.exit_code == 2
    assert "secret" not in caught.value.message


@given(user=st.text("abc:%", min_size=1), query=st.text("xyz=&"), port=st.integers(1, 65535))
def test_no_address_is_shown_with_what_may_be_secret(user: str, query: str, port: int) -> None:
    address = f"https://{user}@host.example:{port}/path/file.gz?{query}#{query}"
    assert shown(address) == f"https://host.example:{port}/path/file.gz"


def test_addresses_that_are_shown() -> None:
    assert shown("http://[::1]:8000/x") == "http://[::1]:8000/x"
    assert shown("http://host:99999999/x") == "an address that cannot be read"
    assert listed("ab") == "a, b"
    assert listed("abcde") == "a, b, c and 2 more"


def test_the_first_folder_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    beneath_a_file, new = tmp_path / "file" / "data", tmp_path / "new" / "data"
    assert writable_folder(None, [beneath_a_file, new]) == new
    assert writable_folder(new, []) == new
    assert not new.exists()
    with pytest.raises(MachineError, match="cannot be written") as caught:
        writable_folder(beneath_a_file, [new])
    assert "--data-dir" in caught.value.next_step


@given(
    have=st.integers(1, 999),
    start=st.integers(0, 999),
    end=st.integers(0, 1100),
    total=st.sampled_from(["*", "1000", "1001", ""]),
)
def test_only_the_rest_of_the_file_is_gone_on_with(
    have: int, start: int, end: int, total: str
) -> None:
    from requests import Response

    entry = FileEntry(bytes=1000, md5="", sha256="")
    wanted = Wanted("tiny", entry, Path("tiny") / "images.gz")
    download = ResumingDownload(wanted, Patience(), lambda done: None)
    response = Response()
    response.status_code = 206
    response.headers["Content-Range"] = f"bytes {start}-{end}/{total}"
    right = start == have and end == 999 and total in ("*", "1000")
    assert download._goes_on(response, have) is right
    response.headers["Content-Range"] = f"bytes {have}-999/1000"
    assert download._goes_on(response, have)


def test_progress_lines_come_ten_seconds_apart() -> None:
    said: list[str] = []
    ticks = iter(range(0, 1000, 3))
    told = EveryTenSeconds(said.append, lambda: float(next(ticks)))
    for done in range(0, 21 << 20, 1 << 20):
        told("mnist/a.gz", done, 20 << 20)
    told("mnist/b.gz", 0, 100)
    assert said[:2] == ["mnist/a.gz: 4.00 MiB of 20.00 MiB", "mnist/a.gz: 8.00 MiB of 20.00 MiB"]
    assert len(said) == 5


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines() as display:
        display.note("fetching [1] file")
        display.on_progress("mnist/a.gz", 0, 10)
    assert capsys.readouterr() == ("", "fetching [1] file\n")


def test_the_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with Bar() as display:
        display.note("fetching [1] file")
        display.on_progress("mnist/a.gz", 0, 10 << 20)
        display.on_progress("mnist/a.gz", 5 << 20, 10 << 20)
        display.refresh()
        display.on_progress("mnist/b.gz", 1, 2)
        display.refresh()
    text = capsys.readouterr()
    assert text.out == ""
    assert "fetching [1] file" in text.err
    assert "5.0/10.0 MiB" in text.err
    assert "mnist/b.gz" in text.err
