"""What engines say of themselves, where Podman is looked for, and what they can give."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from harness.errors import InputError, NoEngineError, NoGpuSupportError
from harness.host.amd import DeviceNodes
from harness.model import Device
from harness.runtimes import engine as engine_module
from harness.runtimes import engines, gpu_support, podman
from harness.runtimes.cdi import device_names
from harness.runtimes.docker_attempt import _seconds
from harness.runtimes.engine import Engine, described
from harness.runtimes.kernel_log import killed_for_memory

DOCKER_SAYS = {
    "ServerVersion": "20.10.24",
    "MemoryLimit": True,
    "CgroupVersion": "1",
    "SecurityOptions": ["name=seccomp,profile=default"],
    "Runtimes": {"runc": {}},
}
# Podman 4.3.1's own answers, rootless and on cgroup v1.
PODMAN_SAYS = {
    "ServerVersion": "4.3.1",
    "MemoryLimit": True,
    "CgroupVersion": "1",
    "Rootless": True,
    "SecurityOptions": ["name=seccomp,profile=default"],
    "Runtimes": {"crun": {}, "runc": {}},
}
PODMANS_VERSION = {"Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]}
NVIDIA = Device(kind="gpu", name="RTX 2060", uuid="GPU-aaa", vendor="nvidia")
AMD = Device(kind="gpu", name="W7900", uuid="GPU-a1b2c3d4e5f60718", vendor="amd")


def engine(info: dict[str, Any], version: dict[str, Any] | None = None, url: str = "") -> Engine:
    return described(None, url or "unix://x", info, version or {})  # type: ignore[arg-type]


DOCKER = engine(DOCKER_SAYS)
PODMAN = engine(PODMAN_SAYS, PODMANS_VERSION)


def test_an_engine_is_told_by_its_components_and_not_by_a_failure() -> None:
    assert (DOCKER.kind, DOCKER.version, DOCKER.rootless, DOCKER.limits) == (
        "docker",
        "20.10.24",
        False,
        True,
    )
    assert (PODMAN.kind, PODMAN.version, PODMAN.rootless) == ("podman", "4.3.1", True)


def test_a_rootless_engine_limits_nothing_on_cgroup_v1_whatever_it_says() -> None:
    assert PODMAN.limits is False
    assert engine({**PODMAN_SAYS, "CgroupVersion": "2"}, PODMANS_VERSION).limits is True
    assert engine({**DOCKER_SAYS, "MemoryLimit": False}).limits is False
    traits = ["name=rootless", "name=cgroupns"]
    assert engine({**DOCKER_SAYS, "SecurityOptions": traits}).rootless is True


def test_selinux_by_dockers_word_and_for_podman_by_the_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "SELINUX", tmp_path / "enforce")
    assert engine({**DOCKER_SAYS, "SecurityOptions": ["name=selinux"]}).selinux is True
    assert engine(PODMAN_SAYS, PODMANS_VERSION).selinux is False
    (tmp_path / "enforce").write_text("1")
    assert engine(PODMAN_SAYS, PODMANS_VERSION).selinux is True
    assert engine(DOCKER_SAYS).selinux is False


# ------------------------------------------------------------------ finding them


def test_podmans_socket_is_the_one_named_or_the_users_then_the_systems() -> None:
    users = {"XDG_RUNTIME_DIR": "/run/user/7"}
    assert podman.sockets({**users, "CONTAINER_HOST": "unix:///x"}) == ["unix:///x"]
    assert podman.sockets(users) == [
        "unix:///run/user/7/podman/podman.sock",
        "unix:///run/podman/podman.sock",
    ]
    assert podman.sockets({}) == ["unix:///run/podman/podman.sock"]


def reachable(patch: pytest.MonkeyPatch, **found: Engine) -> None:
    """Engines by the file name of their socket; every other place answers nothing."""

    def reach(url: str) -> Engine:
        try:
            return replace(found[Path(url).stem], url=url)
        except KeyError:
            raise PermissionError("Permission denied") from None

    patch.setattr(podman, "reach", reach)
    patch.setattr(engine_module, "reach", reach)
    patch.setenv("CONTAINER_HOST", "unix:///podman.sock")
    patch.setenv("DOCKER_HOST", "unix:///docker.sock")


def test_podman_that_only_dockers_setting_names(monkeypatch: pytest.MonkeyPatch) -> None:
    reachable(monkeypatch, docker=PODMAN)
    assert podman.connect().url == "unix:///docker.sock"
    assert [one.url for one in engines.answering()] == ["unix:///docker.sock"]


def test_an_engine_that_is_not_podman_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reachable(monkeypatch, podman=DOCKER)
    with pytest.raises(NoEngineError, match=r"podman\.sock \(another engine\)"):
        podman.connect()
    reachable(monkeypatch)
    with pytest.raises(NoEngineError, match=r"podman\.sock \(not allowed\)"):
        podman.connect()
    monkeypatch.setenv("CONTAINER_HOST", "ssh://user@host/run/podman.sock")
    with pytest.raises(InputError, match="is on another machine") as refused:
        podman.connect()
    assert "unset CONTAINER_HOST" in refused.value.next_step


def test_every_engine_that_answers_or_dockers_own_complaint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reachable(monkeypatch, docker=DOCKER, podman=PODMAN)
    assert [one.kind for one in engines.answering()] == ["docker", "podman"]
    assert engines.engine_for("podman").kind == "podman"
    assert engines.engine_for("auto").kind == "docker"
    reachable(monkeypatch, podman=PODMAN)
    assert engines.engine_for("auto").kind == "podman"
    reachable(monkeypatch)
    with pytest.raises(NoEngineError, match="Docker"):
        engines.answering()


# ------------------------------------------------------------------ GPUs


def glance(one: Engine, device: Device) -> None:
    gpu_support.require_gpu_support(one, [Device(kind="cpu"), device])


def test_docker_needs_nvidias_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(NoGpuSupportError, match="toolkit is not here"):
        glance(DOCKER, NVIDIA)
    glance(replace(DOCKER, runtimes=("runc", "nvidia")), NVIDIA)
    glance(DOCKER, Device(kind="cpu"))


@pytest.mark.parametrize("version", ["4.3.1", "5.3.9", "5.3.2-dev", "3.4"])
def test_podman_before_it_heeds_the_request(version: str) -> None:
    with pytest.raises(NoGpuSupportError, match=r"before 5\.4 its socket ignores the request"):
        glance(replace(PODMAN, version=version), NVIDIA)


@pytest.mark.parametrize("version", ["5.4.0", "5.10.0-rc1", "6.0.0"])
def test_a_newer_podman_needs_the_card_described(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = replace(PODMAN, version=version)
    monkeypatch.setattr(gpu_support, "device_names", lambda: {"nvidia.com/gpu=GPU-bbb"})
    with pytest.raises(NoGpuSupportError, match=r"describes nvidia\.com/gpu=GPU-aaa") as refused:
        glance(newer, NVIDIA)
    assert "nvidia-ctk cdi generate" in refused.value.next_step
    monkeypatch.setattr(gpu_support, "device_names", lambda: {"nvidia.com/gpu=GPU-aaa"})
    glance(newer, NVIDIA)


def test_amds_card_in_a_rootless_engine_needs_its_users_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoGpuSupportError, match="no AMD card"):
        glance(DOCKER, AMD)
    nodes = DeviceNodes((str(tmp_path / "kfd"),), (44,))
    monkeypatch.setattr(gpu_support, "device_nodes", lambda uuid: nodes)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    glance(DOCKER, AMD)  # it may do what its user may not
    with pytest.raises(NoGpuSupportError, match="this user may not open"):
        glance(PODMAN, AMD)
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    glance(PODMAN, AMD)


def test_rootless_docker_cannot_hand_on_what_a_group_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "kfd"
    node.touch()
    monkeypatch.setattr(gpu_support, "device_nodes", lambda _: DeviceNodes((str(node),), (44,)))
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    rootless = replace(DOCKER, rootless=True)
    node.chmod(0o660)
    glance(rootless, AMD)  # its owner
    monkeypatch.setattr(os, "geteuid", lambda: node.stat().st_uid + 1)
    with pytest.raises(NoGpuSupportError, match="this user may not open"):
        glance(rootless, AMD)
    glance(PODMAN, AMD)  # which keeps the groups
    node.chmod(0o666)
    glance(rootless, AMD)


def test_devices_of_cdi_files_and_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "nvidia.yaml").write_text(
        "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n"
        "- {name: GPU-aaa, containerEdits: {}}\n- {name: all, containerEdits: {}}\n"
    )
    (tmp_path / "other.json").write_text('{"kind": "v.example/x", "devices": [{"name": "0"}]}')
    (tmp_path / "broken.yaml").write_text("kind: [")
    (tmp_path / "list.yaml").write_text("- 1")
    (tmp_path / "nvidia.yaml.bak").write_text("kind: nvidia.com/gpu\ndevices: [{name: old}]")
    assert device_names([tmp_path, tmp_path / "none"]) == {
        "nvidia.com/gpu=GPU-aaa",
        "nvidia.com/gpu=all",
        "v.example/x=0",
    }


# ------------------------------------------------------------------ the kernel's log, times

ID = "c0f148a7bfdc6e5c8bbe52965399ed270a29e095976f2223602e097d41da0fb0"
KILLED = (
    "6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),"
    f"oom_memcg=/libpod_parent/libpod-{ID},task=python3,pid=1,uid=0\n"
)


@contextmanager
def kernel_log(tmp_path: Path, *records: str) -> Iterator[str]:
    """A pipe gives what was written, and then nothing more: as the kernel's log does."""
    path = tmp_path / "kmsg"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)
    try:
        os.write(pipe, "".join(records).encode())
        yield str(path)
    finally:
        os.close(pipe)
        path.unlink()


def test_the_kernels_word_on_a_container_it_killed(tmp_path: Path) -> None:
    with kernel_log(tmp_path, KILLED) as path:
        assert killed_for_memory(ID, path)
    with kernel_log(tmp_path, KILLED) as path:
        assert not killed_for_memory("d" * 64, path)
    with kernel_log(tmp_path, f"6,2,2,-;device libpod-{ID} is up\n") as path:
        assert not killed_for_memory(ID, path)
    assert not killed_for_memory(ID, str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-24T15:15:09.126716422Z", 1795533309.126716),
        ("2026-11-24T16:15:09.5+01:00", 1795533309.5),
        ("2026-11-24T15:15:09Z", 1795533309.0),
        ("", None),
        ("None", None),
    ],
)
def test_an_engines_time_has_nine_digits(text: str, seconds: float | None) -> None:
    assert _seconds(text) == seconds


# ------------------------------------------------------------------ an engine that goes


def hang_up(listener: socket.socket) -> None:
    with listener.accept()[0] as caller:
        caller.recv(65536)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ("closes", "the engine does not answer (Remote end closed connection without response)"),
        ("nobody", "the engine does not answer ([Errno 2] No such file or directory)"),
        ("silent", "the engine did not answer in time"),
    ],
)
def test_an_engine_that_goes_is_told_in_words(tmp_path: Path, answers: str, told: str) -> None:
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        if answers != "nobody":
            listener.bind(str(path))
            listener.listen()
        if answers == "closes":
            threading.Thread(target=hang_up, args=(listener,), daemon=True).start()
        limit = 0.2 if answers == "silent" else 10
        client = docker.DockerClient(base_url=f"unix://{path}", version="1.41", timeout=limit)
        with closing(client), pytest.raises(engine_module.ENGINE_ERRORS) as failed:
            client.containers.list()
    said = engine_module.infra("the container could not be started", failed.value)
    assert str(said) == f"the container could not be started: {told}"
    assert said.transient
