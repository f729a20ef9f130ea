"""What all tests share: where the real data is, and what a missing thing means."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
# Started in the background, this process ignores Ctrl-C, and so would the children that get it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# These machines are noisy: a slow example is no failure.
settings.register_profile("harness", deadline=None)
settings.load_profile("harness")

REQUIRED = os.environ.get("HARNESS_TEST_REQUIRE", "")
"""``all`` makes what this machine lacks a failure instead of a skip, as CI does."""


def real_data() -> Path | None:
    """The folder with real image files: HARNESS_DATA_DIR, or ../shared/data where that exists."""
    named = os.environ.get("HARNESS_DATA_DIR")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if (folder / "mnist" / "t10k-images-idx3-ubyte.gz").is_file() else None


@pytest.fixture(autouse=True, scope="session")
def salt_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The secret behind salted names is the tests' own: the caller's home stays as it is."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


def lacking(reason: str) -> None:
    """Skip the test, or fail it where everything is required."""
    if REQUIRED == "all":
        pytest.fail(f"required here, and lacking: {reason}")
    pytest.skip(reason)


def cannot_have(reason: str) -> None:
    """Skip the test wherever it runs: by its nature, not by what this machine lacks."""
    pytest.skip(reason)


def pytest_report_header() -> str:
    data = real_data()
    return f"images: {'real, from ' + str(data) if data else 'synthetic, no real data is here'}"


def run_harness(
    *arguments: str | Path,
    env: dict[str, str] | None = None,
    timeout: float = 400,
    **options: object,
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, as a user starts it."""
    data = real_data()
    surroundings = {
        **os.environ,
        **({"HARNESS_DATA_DIR": str(data)} if data else {}),
        **(env or {}),
    }
    return subprocess.run(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=surroundings,
        check=False,
        **options,  # type: ignore[call-overload]
    )
