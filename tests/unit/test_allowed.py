"""The GPUs that a provider's or a scheduler's variables leave to the harness."""

from __future__ import annotations

import pytest

from harness.errors import MachineError
from harness.host.allowed import allowed
from harness.host.gpus import CPU, Gpu, Gpus, choose

A, B, C = (Gpu(n, f"GPU-{name}111", "RTX 2060", 6 << 30) for n, name in enumerate("abc"))
THREE = Gpus((A, B, C), driver="570")


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        ("2", (C,)),
        ("2,0", (C, A)),
        ("GPU-b111", (B,)),
        ("GPU-b", (B,)),
        (" 1 , GPU-a ", (B, A)),
        ("0,9,1", (A,)),
        ("-1", ()),
        ("", ()),
        ("NoDevFiles", ()),
    ],
)
def test_a_list_of_visible_devices(setting: str, left: tuple[Gpu, ...]) -> None:
    found = allowed(THREE, {"CUDA_VISIBLE_DEVICES": setting})
    assert found.found == left
    assert "of 3 that are seen" in str(found.problem)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"CUDA_VISIBLE_DEVICES": "0,1,2"},
        {"NVIDIA_VISIBLE_DEVICES": "all"},
        {"NVIDIA_VISIBLE_DEVICES": "GPU-c111"},
        {"ROCR_VISIBLE_DEVICES": "0"},
    ],
)
def test_what_hides_nothing_changes_nothing(environment: dict[str, str]) -> None:
    assert allowed(THREE, environment) == THREE


@pytest.mark.parametrize("name", ["CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"])
def test_a_slice_of_a_gpu_is_a_device_of_its_own(name: str) -> None:
    rented = Gpus((A,), driver="570")
    device = choose("auto", allowed(rented, {name: "MIG-1234"}))
    assert (device.kind, device.uuid, device.name) == ("gpu", "MIG-1234", "RTX 2060 (MIG)")
    (unknown,) = allowed(THREE, {name: "MIG-1234"}).found
    assert unknown.name == "a MIG slice"


@pytest.mark.parametrize("name", ["ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"])
def test_amds_cards_have_their_own_lists(name: str) -> None:
    cards = [Gpu(3 + n, f"GPU-{n}f00", "MI210", None, "amd") for n in range(2)]
    both = Gpus((A, B, C, *cards), driver="570")
    assert allowed(both, {name: "1"}).found == (A, B, C, cards[1])
    assert allowed(both, {name: "GPU-0f00", "CUDA_VISIBLE_DEVICES": "-1"}).found == (cards[0],)


def test_hips_list_chooses_of_what_rocrs_left() -> None:
    cards = tuple(Gpu(n, f"GPU-{n}f00", "MI210", None, "amd") for n in range(3))
    both = {"ROCR_VISIBLE_DEVICES": "1,2", "HIP_VISIBLE_DEVICES": "1"}
    found = allowed(Gpus(cards), both)
    assert found.found == (cards[2],)
    assert found.problem == "of 3 that are seen, 1,2, of those 1 is left to it"


def test_auto_takes_the_first_that_is_left_and_another_is_refused() -> None:
    left = allowed(THREE, {"CUDA_VISIBLE_DEVICES": "2"})
    assert choose("auto", left).uuid == C.uuid
    assert choose("2", left).uuid == C.uuid
    with pytest.raises(MachineError, match=r"GPU 0 is not there.*2 is left to it"):
        choose("0", left)
    assert choose("auto", allowed(THREE, {"CUDA_VISIBLE_DEVICES": "-1"})) == CPU
