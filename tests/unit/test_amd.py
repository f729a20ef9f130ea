"""AMD's cards on a made-up machine: the files that the kernel would show."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import InputError, MachineError
from harness.host import gpus as host_gpus
from harness.host.amd import AmdGpu, device_nodes, find_amd, unusable
from harness.host.gpus import Gpu, Gpus, choose, find_gpus
from harness.model import Device
from harness.plan import image_for
from harness.plan import runtime as plan_runtime
from harness.plan.runtime import Need, choose_runtime

CARD = Gpu(0, "GPU-aaa", "RTX 2060", 6 << 30)
RADEON = AmdGpu("GPU-a1b2c3d4e5f60718", "AMD Radeon PRO W7900", 48 << 30, "renderD128")
SMALL = AmdGpu("PCI-0000:0a:00.0", "AMD gfx90a", None, "renderD129")


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def card(root: Path, node: int, render: int, version: int, address: str, **files: str) -> None:
    """One card as amdgpu shows it: in the compute driver's list, and in the display's."""
    told = f"cpu_cores_count 0\nsimd_count 192\ngfx_target_version {version}\nvendor_id 4098\n"
    topology = root / f"sys/class/kfd/kfd/topology/nodes/{node}"
    write(topology / "properties", f"{told}drm_render_minor {render}\n")
    device = root / "sys/devices/pci" / address
    write(device / "vendor", "0x1002\n")
    for name, text in files.items():
        write(device / name, f"{text}\n")
    for name in (f"renderD{render}", f"card{node}"):
        (root / "sys/class/drm" / name).mkdir(parents=True)
        (root / "sys/class/drm" / name / "device").symlink_to(device)
    write(root / f"dev/dri/renderD{render}", "")
    write(root / "dev/kfd", "")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A processor, a card that says everything of itself, and one that says nothing."""
    processor = "cpu_cores_count 16\nsimd_count 0\ngfx_target_version 0\ndrm_render_minor 0\n"
    write(tmp_path / "sys/class/kfd/kfd/topology/nodes/0/properties", processor)
    full = {
        "unique_id": "a1b2c3d4e5f60718",
        "product_name": "AMD Radeon PRO W7900",
        "mem_info_vram_total": str(48 << 30),
    }
    card(tmp_path, 1, 128, 110000, "0000:03:00.0", **full)
    card(tmp_path, 2, 129, 90010, "0000:0a:00.0")
    return tmp_path


def test_cards_in_the_compute_drivers_order_and_no_processor(machine: Path) -> None:
    assert find_amd(machine) == (RADEON, SMALL)
    assert unusable(machine) is None


def test_ten_nodes_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for node in (10, 2):
        card(tmp_path, node, 128 + node, 110002, f"0000:{node:02}:00.0")
    assert [found.render for found in find_amd(tmp_path)] == ["renderD130", "renderD138"]
    assert find_amd(tmp_path)[0].name == "AMD gfx1102"


def test_an_id_that_only_the_compute_driver_tells(tmp_path: Path) -> None:
    card(tmp_path, 1, 128, 90008, "0000:03:00.0")
    properties = tmp_path / "sys/class/kfd/kfd/topology/nodes/1/properties"
    properties.write_text(properties.read_text() + f"unique_id {0x00B2C3D4E5F60718}\n")
    (found,) = find_amd(tmp_path)
    assert (found.uuid, found.name) == ("GPU-00b2c3d4e5f60718", "AMD gfx908")


def test_a_machine_without_one(tmp_path: Path) -> None:
    assert find_amd(tmp_path) == ()
    assert unusable(tmp_path) is None


def test_a_card_that_rocm_cannot_use_is_told(tmp_path: Path) -> None:
    write(tmp_path / "sys/class/drm/card0/device/vendor", "0x1002\n")
    assert find_amd(tmp_path) == ()
    assert "KFD" in str(unusable(tmp_path))
    write(tmp_path / "sys/class/drm/card0/device/vendor", "0x10de\n")
    assert unusable(tmp_path) is None


def test_the_nodes_and_groups_of_one_card_alone(machine: Path) -> None:
    nodes = device_nodes(RADEON.uuid, machine)
    assert nodes.paths == (f"{machine}/dev/kfd", f"{machine}/dev/dri/renderD128")
    assert nodes.groups == tuple({(machine / "dev/kfd").stat().st_gid} - {0})
    with pytest.raises(LookupError, match="no AMD card GPU-other"):
        device_nodes("GPU-other", machine)
    (machine / "dev/kfd").unlink()
    with pytest.raises(LookupError, match=r"dev/kfd: No such file"):
        device_nodes(RADEON.uuid, machine)


# ------------------------------------------------------------------ both vendors


def both(patch: pytest.MonkeyPatch, nvidia: Gpus, *cards: AmdGpu) -> Gpus:
    patch.setattr(host_gpus, "_find_nvidia", lambda: nvidia)
    patch.setattr(host_gpus, "find_amd", lambda: cards)
    patch.setattr(host_gpus, "unusable", lambda: "a card that KFD lacks")
    return find_gpus()


def test_amds_cards_count_on_after_nvidias(monkeypatch: pytest.MonkeyPatch) -> None:
    found = both(monkeypatch, Gpus((CARD,), "570"), RADEON, SMALL)
    assert [(gpu.index, gpu.vendor) for gpu in found.found] == [
        (0, "nvidia"),
        (1, "amd"),
        (2, "amd"),
    ]
    assert choose("auto", found).vendor == "nvidia"
    assert choose("1", found).name == "AMD Radeon PRO W7900"
    assert choose("gpu-A1B2C3D4E5F60718", found).vendor == "amd"
    with pytest.raises(MachineError, match=r"2 \(AMD gfx90a, PCI-0000:0a:00.0\)"):
        choose("3", found)


def test_amds_alone_need_no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    found = both(monkeypatch, Gpus((), problem="NVML Shared Library Not Found"), RADEON)
    assert found.problem is None
    assert choose("auto", found) == choose("0", found)
    assert choose("auto", found).vendor == "amd"
    lost = both(monkeypatch, Gpus((), "570", problem="GPU 0: GPU is lost"), RADEON)
    assert lost.problem == "GPU 0: GPU is lost"


def test_neither_says_what_is_wrong_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    found = both(monkeypatch, Gpus((), problem="NVML Shared Library Not Found"))
    assert found.problem == "NVML Shared Library Not Found; a card that KFD lacks"
    assert choose("auto", found).kind == "cpu"


def test_the_image_is_chosen_by_the_cards_vendor() -> None:
    case = SimpleNamespace(image=None, framework="tensorflow")
    gpus = Gpus((CARD, Gpu(1, "GPU-1", "W7900", None, "amd")))
    chosen = [image_for(case, choose(wish, gpus)) for wish in ("cpu", "0", "1")]  # type: ignore[arg-type]
    assert chosen == ["cpu", "tensorflow-25.02", "tensorflow-rocm"]
    case.framework = "jax"
    with pytest.raises(InputError, match="no image of jax for the device rocm"):
        image_for(case, choose("1", gpus))  # type: ignore[arg-type]


@pytest.mark.parametrize("runtime", ["local", "apptainer"])
def test_a_card_without_an_id_among_others_is_not_measured_by_chance(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_runtime, "require_local", lambda needs, python: None)
    monkeypatch.setattr(plan_runtime, "find_program", lambda: "apptainer")
    monkeypatch.setattr(plan_runtime, "find_amd", lambda: (RADEON, SMALL))
    device = Device(kind="gpu", name=SMALL.name, uuid=SMALL.uuid, vendor="amd")
    need = Need("torch", "mine", device, asked_for_image=False, memory_limit=None)
    with pytest.raises(MachineError, match="no id of its own") as refused:
        choose_runtime(runtime, [need], print, tmp_path)
    assert "docker or podman" in refused.value.next_step
