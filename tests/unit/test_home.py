"""A user without a home folder, as a rented container may have: told, never a traceback."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from harness.errors import MachineError
from harness.host.home import cache_folder, home_folder
from harness.plan import DataFolders
from harness.results.run import impersonal


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.usefixtures("no_home")
def test_what_needs_a_home_says_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for needs_it in (home_folder, cache_folder, lambda: DataFolders.of(None)):
        with pytest.raises(MachineError, match="no home folder") as error:
            needs_it()
        assert "export HOME=" in error.value.next_step
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: f"~/.cache/{name}")
    with pytest.raises(MachineError, match="no home folder"):
        cache_folder()


@pytest.mark.usefixtures("no_home")
def test_what_can_do_without_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert impersonal("~ and /home/somebody") == "~ and /home/somebody"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "harness"
