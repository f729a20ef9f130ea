"""A Podman of a test's own: its socket, images and containers, and nothing of the user's."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import NoEngineError
from harness.runtimes.engine import ENGINE_ERRORS, Engine, reach
from tests.conftest import lacking

# Debian's Podman as it runs where a limit cannot be raised, and with any layout of control groups.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "{oci}"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@dataclass(frozen=True)
class OwnPodman:
    """Everything of it is below `folder`; `user` is whom it runs as."""

    folder: Path
    user: pwd.struct_passwd

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/sock"

    @property
    def owner(self) -> tuple[int, int]:
        return self.user.pw_uid, self.user.pw_gid

    def command(self, *words: str) -> list[str]:
        places = {"--root": "root", "--runroot": "run", "--tmpdir": "tmp"}
        named = [part for key, name in places.items() for part in (key, f"{self.folder}/{name}")]
        # Left to itself, a rootless one copies the whole image for each container.
        return ["podman", *named, "--storage-driver", "overlay", *words]

    def start(self, *words: str, **options: object) -> subprocess.Popen[bytes]:
        become = {"user": self.owner[0], "group": self.owner[1], "extra_groups": ()}
        return subprocess.Popen(
            self.command(*words),
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "XDG_RUNTIME_DIR": str(self.folder),
                "CONTAINERS_CONF": f"{self.folder}/containers.conf",
            },
            cwd=self.folder,
            **(become if self.owner[0] != os.geteuid() else {}),  # type: ignore[call-overload]
            **options,
        )

    def load(self, image: str) -> None:
        """Copy an image of the Docker engine's."""
        saving = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        loading = self.start("load", "-q", stdin=saving.stdout, stdout=subprocess.PIPE)
        assert saving.stdout is not None
        saving.stdout.close()  # or the one would wait for ever where the other dies
        said, _ = loading.communicate(timeout=300)
        assert (saving.wait(), loading.returncode) == (0, 0), said

    def connected(self) -> Engine:
        """The engine, once it answers."""
        for _ in range(100):
            try:
                return reach(self.url)
            except ENGINE_ERRORS:
                time.sleep(0.1)
        raise NoEngineError((self.folder / "log").read_text())


@contextmanager
def own_podman(rootless: bool) -> Iterator[OwnPodman]:
    """One that runs; it and all it holds are gone afterwards."""
    if shutil.which("podman") is None:
        lacking("podman is not installed")
    user = _ordinary_user() if rootless else pwd.getpwuid(os.geteuid())
    # A socket's path may have 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="own-", dir="/tmp"))
    oci = next((name for name in ("runc", "crun") if shutil.which(name)), "crun")
    (folder / "containers.conf").write_text(CONFIGURATION.format(oci=oci))
    os.chown(folder, user.pw_uid, user.pw_gid)
    podman = OwnPodman(folder, user)
    with (folder / "log").open("ab") as log:
        service = podman.start("system", "service", "--time=0", podman.url, stdout=log, stderr=log)
    try:
        yield podman
    finally:
        service.terminate()
        service.wait(timeout=60)
        _remove(podman)


def _ordinary_user() -> pwd.struct_passwd:
    """This user, or for root the first that may use further user ids."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    known = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid != 0}
    for line in Path("/etc/subuid").read_text().splitlines():
        if (name := line.partition(":")[0]) in known:
            return known[name]
    lacking("no ordinary user has subordinate ids in /etc/subuid")
    raise AssertionError


def _remove(podman: OwnPodman) -> None:
    for place in ("root/overlay", "root"):
        subprocess.run(["umount", "--quiet", podman.folder / place], check=False)
    if os.geteuid() == 0:
        shutil.rmtree(podman.folder, ignore_errors=True)
    else:  # files of other ids of its own
        podman.start("unshare", "rm", "-rf", str(podman.folder)).wait(timeout=60)
