from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.model import Device, LaunchSpec
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
