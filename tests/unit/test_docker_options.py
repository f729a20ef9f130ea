"""What an engine is asked for. ``HARNESS_SNAPSHOTS=write`` writes the whole requests anew."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.host.amd import DeviceNodes
from harness.model import Device, LaunchSpec
from harness.runtimes.dialects import PODMAN
from harness.runtimes.docker_options import Terms, options

SPEC = LaunchSpec(
    workload=Path("/code/workload"),
    out=Path("/results/a1"),
    data=Path("/data/mnist"),
    weights=None,
    device=Device(kind="cpu"),
    image="sha256:1",
    env={"OMP_NUM_THREADS": "2"},
    memory_limit=None,
    labels={"harness.run": "r"},
)
ME = Terms(uid=1000, gid=1001)


def test_least_privilege() -> None:
    made = options(SPEC, ME)
    assert made["user"] == "1000:1001"
    assert made["network_mode"] == "none"
    assert made["cap_drop"] == ["ALL"]
    assert made["security_opt"] == ["no-new-privileges"]
    assert made["read_only"] is True
    assert made["pids_limit"] > 0
    assert "mem_limit" not in made
    assert "privileged" not in made
    assert made["log_config"].config["max-size"] == "16m"


def test_only_the_attempts_own_folder_is_writable() -> None:
    mounts = {mount["Target"]: mount for mount in options(SPEC, ME)["mounts"]}
    assert {target for target, mount in mounts.items() if not mount["ReadOnly"]} == {"/harness/out"}
    assert mounts["/harness/data"]["Source"] == "/data/mnist"
    assert all(mount["Type"] == "bind" for mount in mounts.values())


def test_the_command_is_a_list_and_names_the_folders_inside() -> None:
    assert options(SPEC, ME)["command"] == [
        "python3",
        "/harness/workload",
        "--spec",
        "/harness/out/spec.json",
        "--data",
        "/harness/data",
        "--out",
        "/harness/out",
    ]
    weighted = options(replace(SPEC, weights=Path("/w")), ME)
    assert weighted["command"][-2:] == ["--weights", "/harness/weights"]


def test_a_gpu_is_asked_for_by_its_uuid_in_pci_order() -> None:
    made = options(replace(SPEC, device=Device(kind="gpu", uuid="GPU-12")), ME)
    (request,) = made["device_requests"]
    assert request["DeviceIDs"] == ["GPU-12"]
    assert request["Count"] == 0
    assert request["Capabilities"] == [["gpu", "utility", "compute"]]
    assert made["environment"]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "CUDA_VISIBLE_DEVICES" not in made["environment"]


def test_a_cpu_case_sees_no_gpu_and_no_message_is_hidden() -> None:
    made = options(SPEC, ME)
    assert made["device_requests"] == []
    assert made["environment"]["CUDA_VISIBLE_DEVICES"] == "-1"
    assert made["environment"]["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert made["environment"]["OMP_NUM_THREADS"] == "2"


def test_a_memory_limit_leaves_no_swap() -> None:
    made = options(replace(SPEC, memory_limit=1 << 30), ME)
    assert made["mem_limit"] == made["memswap_limit"] == 1 << 30


def test_nvidias_limits_unless_the_engine_may_not_raise_them() -> None:
    made = options(SPEC, ME)
    assert made["shm_size"] == 1 << 30
    assert {limit.name: limit.soft for limit in made["ulimits"]} == {
        "memlock": -1,
        "stack": 64 << 20,
    }
    assert "ulimits" not in options(SPEC, replace(ME, raises_limits=False))


def test_an_engine_that_maps_users_is_given_the_one_that_maps_to_the_caller() -> None:
    assert options(SPEC, replace(ME, rootless=True))["user"] == "0:0"
    remapped = options(SPEC, replace(ME, remaps_users=True))
    assert (remapped["user"], remapped["userns_mode"]) == ("1000:1001", "host")


# ------------------------------------------------------------------ engines and vendors

SNAPSHOTS = Path(__file__).parent / "snapshots"
NVIDIA = Device(kind="gpu", name="RTX 2060", uuid="GPU-aaa", vendor="nvidia")
AMD = Device(kind="gpu", name="W7900", uuid="GPU-a1b2c3d4e5f60718", vendor="amd")
NODES = DeviceNodes(("/dev/kfd", "/dev/dri/renderD128"), (44, 105))
ROOTLESS_PODMAN = Terms(1000, 1001, rootless=True, dialect=PODMAN)

REQUESTS = {
    "docker-nvidia": (NVIDIA, ME),
    "docker-amd": (AMD, ME),
    "podman-nvidia": (NVIDIA, replace(ME, dialect=PODMAN)),
    "podman-rootless-nvidia": (NVIDIA, ROOTLESS_PODMAN),
    "podman-rootless-amd": (AMD, ROOTLESS_PODMAN),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_whole_request(name: str) -> None:
    device, terms = REQUESTS[name]
    nodes = NODES if device.vendor == "amd" else DeviceNodes((), ())
    made = json.dumps(options(replace(SPEC, device=device), terms, nodes), indent=1) + "\n"
    file = SNAPSHOTS / f"{name}.json"
    if os.environ.get("HARNESS_SNAPSHOTS") == "write":
        file.write_text(made)
    assert made == file.read_text()


def test_podman_is_asked_for_the_card_by_its_cdi_name() -> None:
    """Rendered only: no Podman of 5.4 or newer, nor a card, was at hand."""
    made = options(replace(SPEC, device=NVIDIA), replace(ME, dialect=PODMAN))
    (request,) = made["device_requests"]
    assert (request["Driver"], request["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=GPU-aaa"])
    assert made["log_config"].type == "k8s-file"


def test_amds_card_is_its_nodes_and_their_groups_and_no_device_request() -> None:
    made = options(replace(SPEC, device=AMD), ME, NODES)
    assert made["devices"] == ["/dev/kfd:/dev/kfd:rw", "/dev/dri/renderD128:/dev/dri/renderD128:rw"]
    assert made["group_add"] == ["44", "105"]
    assert made["device_requests"] == []
    assert made["environment"]["ROCR_VISIBLE_DEVICES"] == AMD.uuid
    assert made["cap_drop"] == ["ALL"]
    assert options(replace(SPEC, device=AMD), ROOTLESS_PODMAN, NODES)["group_add"] == [
        "keep-groups"
    ]
    # Rootless Docker has no way to pass the caller's groups on.
    assert options(replace(SPEC, device=AMD), replace(ME, rootless=True), NODES)["group_add"] == []


def test_selinux_leaves_the_labels_of_the_users_files_alone() -> None:
    assert options(SPEC, replace(ME, selinux=True))["security_opt"] == [
        "no-new-privileges",
        "label=disable",
    ]


def test_an_engine_without_control_groups_is_asked_for_no_limit() -> None:
    assert "pids_limit" not in options(SPEC, replace(ME, limits=False))
