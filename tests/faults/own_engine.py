"""An engine of a test's own, to be stopped and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.runtimes.engine import Engine, connect
from tests.conftest import lacking


@dataclass
class OwnEngine:
    """`dockerd` with everything of its own below `folder`; `path` is searched first for hooks."""

    folder: Path
    path: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/sock"

    def start(self) -> None:
        daemon = shutil.which("dockerd")
        assert daemon is not None
        # With a network of its own: `--bridge none` takes away the bridge of the engine beside it.
        line = ["unshare", "--net", daemon, "--host", self.url, "--pidfile", f"{self.folder}/pid"]
        line += ["--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/x"]
        line += ["--bridge", "none", "--iptables=false"]
        found = ":".join(part for part in (self.path, os.environ["PATH"]) if part)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                line, env={**os.environ, "PATH": found}, stdout=log, stderr=log
            )

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=60)

    def connected(self) -> Engine:
        """Call it with DOCKER_HOST set to `url`."""
        for _ in range(150):
            try:
                return connect()
            except Exception:
                time.sleep(0.2)
        raise AssertionError((self.folder / "log").read_text())


@contextmanager
def own_engine(path: str = "") -> Iterator[OwnEngine]:
    """One that runs; it and all it holds are gone afterwards."""
    if shutil.which("dockerd") is None:
        lacking("dockerd is needed, to start an engine of the test's own")
    # A socket's path may have 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="own-", dir="/tmp"))
    engine = OwnEngine(folder, path)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
        subprocess.run(["umount", "--quiet", folder / "data"], check=False)
        shutil.rmtree(folder, ignore_errors=True)
