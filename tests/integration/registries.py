"""Debian's docker-registry on loopback, and small images to put into it."""

from __future__ import annotations

import base64
import io
import json
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from docker.errors import ImageNotFound

from harness.runtimes.engine import Engine
from tests.conftest import lacking

USER, PASSWORD = "me", "open sesame"
HTPASSWD = f"{USER}:$2b$04$r89H9ADYf5UfvYYyc0T0iO4NYRpYOoL/u07PF3m9VvYjQKSDrLhhW\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve(folder: Path, credentials: bool = False) -> Iterator[str]:
    """``localhost:PORT`` of an empty registry that keeps its files in `folder`/data."""
    program = shutil.which("docker-registry")
    if program is None:
        lacking("Debian's docker-registry is not installed")
        raise AssertionError
    port = free_port()
    config = folder / "config.yml"
    text = (
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    if credentials:
        (folder / "htpasswd").write_text(HTPASSWD)
        text += f"auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}\n"
    config.write_text(text)
    quiet = subprocess.DEVNULL
    serving = subprocess.Popen([program, "serve", str(config)], stdout=quiet, stderr=quiet)
    with serving as process:
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"localhost:{port}"
        finally:
            process.terminate()


def imported(engine: Engine, reference: str, content: bytes) -> None:
    """Make an image here that holds a file with `content`, and nothing else."""
    repository, _, tag = reference.rpartition(":")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("content")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    engine.client.api.import_image_from_data(packed.getvalue(), repository=repository, tag=tag)


def push(engine: Engine, reference: str, content: bytes, login: bool = False) -> str:
    """Put an image that holds `content` under `reference`, and only there; returns its digest."""
    imported(engine, reference, content)
    repository, _, tag = reference.rpartition(":")
    who = {"username": USER, "password": PASSWORD} if login else None
    told = engine.client.images.push(repository, tag=tag, stream=True, decode=True, auth_config=who)
    digest = next(line["aux"]["Digest"] for line in told if "aux" in line)
    engine.client.images.remove(reference, force=True)
    return str(digest)


def forget(engine: Engine, repository: str) -> None:
    """Remove from this machine whatever is named after `repository`."""
    for image in engine.client.images.list():
        for name in [*image.tags, *image.attrs["RepoDigests"]]:
            if name.startswith((f"{repository}:", f"{repository}@")):
                with suppress(ImageNotFound):  # a tag's end may be its digest's
                    engine.client.images.remove(name, force=True)


def docker_config(folder: Path, registry: str, password: str) -> dict[str, str]:
    """An environment in which Docker's own settings hold these credentials."""
    secret = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {registry: {"auth": secret}}}))
    return {"DOCKER_CONFIG": str(folder)}
