"""What a machine says of itself, from small pretended /proc and /sys; nothing personal in it."""

from __future__ import annotations

import getpass
import json
import os
import platform
import socket
from itertools import count
from pathlib import Path

import pytest

from harness.host import fingerprint, read_test, salted, speed, storage, surroundings
from harness.host.cpu import cpu_model
from harness.host.discreet import discreet_cases, discreet_text
from harness.host.fingerprint import Fingerprint
from harness.host.gpus import Gpu, Gpus, choose
from harness.host.quota import Quota, quota
from harness.matrix import expand, parse
from harness.report.machine import rows
from harness.results.run import RunInfo
from tests.conftest import ROOT

UUID = "GPU-5d0b2a9e-1111-2222-3333-444455556666"
CARDS = Gpus((Gpu(0, UUID, "RTX 2060", 6 << 30),), driver="570")


def tree(root: Path, **files: str) -> Path:
    """`root` with these files, their paths' slashes written as two underscores."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


# ------------------------------------------------------------------ limits


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, Quota(None, None)),
        (
            {
                "proc/self/cgroup": "0::/user/job",
                "sys/fs/cgroup/user/job/cpu.max": "150000 100000",
                "sys/fs/cgroup/user/job/memory.max": "max",
                "sys/fs/cgroup/user/memory.max": "4096",
            },
            Quota(1.5, 4096),
        ),
        (
            {  # a container: what /proc calls the group is not mounted
                "proc/self/cgroup": "0::/../../docker/abc",
                "sys/fs/cgroup/cpu.max": "max 100000",
                "sys/fs/cgroup/memory.max": "8192",
            },
            Quota(None, 8192),
        ),
        (
            {
                "proc/self/cgroup": "3:memory:/a\n2:cpu,cpuacct:/a\n0::/",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1024",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            Quota(0.5, 1024),
        ),
    ],
)
def test_the_tightest_limit_of_the_control_groups(
    files: dict[str, str], expected: Quota, tmp_path: Path
) -> None:
    assert quota(tree(tmp_path, **files)) == expected


# ------------------------------------------------------------------ storage


MOUNTS = """21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 1 0:30 / /home rw - nfs4 server:/home rw
23 1 0:31 / /shm rw - tmpfs tmpfs rw
24 1 0:32 / /pool rw - btrfs /dev/nvme0n1p2 rw
25 1 0:33 / /layer rw - overlay overlay rw
26 1 253:0 / /raid rw - xfs /dev/dm-0 rw
27 1 0:34 / /host rw - virtiofs share rw"""


@pytest.mark.parametrize(
    ("device", "kind", "filesystem"),
    [
        ("8:1", "hdd", "ext4"),
        ("0:30", "network", "nfs4"),
        ("0:31", "memory", "tmpfs"),
        ("0:32", "nvme", "btrfs"),
        ("0:33", "overlay", "overlay"),
        ("253:0", "ssd", "xfs"),
        ("0:34", "host", "virtiofs"),
        ("9:9", None, None),
    ],
)
def test_the_kind_of_storage(
    device: str, kind: str | None, filesystem: str | None, tmp_path: Path
) -> None:
    tree(
        tmp_path,
        **{
            "proc/self/mountinfo": MOUNTS,
            "sys/devices/sda/queue/rotational": "1",
            "sys/devices/sda/sda1/partition": "1",
            "sys/devices/sdb/queue/rotational": "0",
            "sys/devices/nvme0n1/nvme0n1p2/partition": "2",
            "sys/devices/dm-0/queue/rotational": "1",
        },
    )
    devices = tmp_path / "sys/devices"
    for link, target in {
        "sys/dev/block/8:1": devices / "sda/sda1",
        "sys/dev/block/253:0": devices / "dm-0",
        "sys/class/block/nvme0n1p2": devices / "nvme0n1/nvme0n1p2",
        "sys/devices/dm-0/slaves/sdb": devices / "sdb",
    }.items():
        (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / link).symlink_to(target)
    found = storage.described(device, tmp_path)
    assert (found.kind, found.filesystem) == (kind, filesystem)


def test_the_read_test_says_how_it_read_and_leaves_nothing(tmp_path: Path) -> None:
    found = read_test.read_test(tmp_path)
    assert found is not None
    assert found.mbs > 0
    assert found.bytes <= read_test.FILE_BYTES
    assert found.how in ("direct", "dropped")
    assert list(tmp_path.iterdir()) == []


def test_no_read_test_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_test.read_test(tmp_path / "not-there") is None
    monkeypatch.setattr(read_test, "KEEP_FREE", 1 << 62)
    assert read_test.read_test(tmp_path) is None


# ------------------------------------------------------------------ surroundings


@pytest.mark.parametrize(
    ("files", "environment", "expected"),
    [
        ({}, {}, "none"),
        ({".dockerenv": ""}, {}, "docker"),
        ({"run/.containerenv": "", ".dockerenv": ""}, {}, "podman"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({"proc/1/cgroup": "4:memory:/kubepods/besteffort/pod1"}, {}, "kubepods"),
        ({"run/systemd/container": "lxc"}, {}, "lxc"),
        ({".singularity.d/labels.json": ""}, {}, "apptainer"),
    ],
)
def test_which_container(
    files: dict[str, str], environment: dict[str, str], expected: str, tmp_path: Path
) -> None:
    assert surroundings.container(tree(tmp_path, **files), environment) == expected


@pytest.mark.parametrize(
    ("flags", "maker", "expected"),
    [
        ("fpu hypervisor", "QEMU", "qemu"),
        ("fpu hypervisor", "Amazon EC2", "amazon"),
        ("fpu hypervisor", "Somebody", "unknown"),
        ("fpu", "Google", "none"),
        ("fpu", "Dell Inc.", "none"),
    ],
)
def test_which_virtual_machine(flags: str, maker: str, expected: str, tmp_path: Path) -> None:
    tree(
        tmp_path,
        **{"proc/cpuinfo": f"flags\t\t: {flags}\n", "sys/class/dmi/id/sys_vendor": maker + "\n"},
    )
    assert surroundings.by_files(tmp_path) == expected


def test_the_processors_name_where_the_kernel_gives_it(tmp_path: Path) -> None:
    assert cpu_model(tree(tmp_path, proc__cpuinfo="model name\t: Xeon X\n")) == "Xeon X"
    assert cpu_model(tmp_path / "nothing")


def test_the_speed_of_a_core_is_the_median_of_its_runs() -> None:
    ticks = count()
    found = speed.single_core(clock=lambda: float(next(ticks)))
    assert found.python_mops == speed.ROUNDS / 1e6  # each run takes one second
    assert found.sha256_mbs == round(len(speed.BUFFER) / 1e6, 1)
    assert platform.python_version() in found.python


# ------------------------------------------------------------------ nothing personal


def test_a_salted_name_is_the_same_again_and_another_with_another_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = salted.salted(UUID)
    assert mine == salted.salted(UUID)
    assert mine != salted.salted(UUID[:-1] + "7")
    assert "5d0b2a9e" not in mine
    monkeypatch.setattr(salted, "salt", lambda: b"x" * 32)
    assert salted.salted(UUID) != mine


def test_the_secret_is_kept_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "salt"
    secret = salted.kept(path)
    assert len(secret) == salted.SALT_BYTES
    assert path.stat().st_mode & 0o777 == 0o600
    assert salted.kept(path) == secret
    assert [file.name for file in path.parent.iterdir()] == ["salt"]


def test_a_secret_that_others_can_read_or_that_is_torn_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "salt"
    salted.kept(path)
    path.chmod(0o644)
    with pytest.raises(PermissionError):
        salted.kept(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(OSError, match="no secret"):
        salted.kept(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(OSError, match=r".*"):
        salted.kept(link)


def test_where_no_file_can_hold_it_the_secret_lasts_as_long_as_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setattr(salted, "_places", lambda: [blocked / "salt"])
    fresh = salted.salt.__wrapped__
    assert len(fresh()) == salted.SALT_BYTES
    assert fresh() != fresh()


def test_nothing_of_the_host_the_user_or_the_card_is_in_the_fingerprint(tmp_path: Path) -> None:
    taken = fingerprint.tried(fingerprint.take(CARDS, tmp_path), tmp_path, "docker 20")
    written = taken.model_dump_json() + fingerprint.machine_hash(taken, CARDS)
    personal = [UUID, UUID.removeprefix("GPU-"), str(tmp_path)]
    machine_id = Path("/etc/machine-id")
    if machine_id.exists():
        personal.append(machine_id.read_text().strip())
    personal += [name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 4]
    assert [name for name in personal if name and name in written] == []
    assert taken.gpus[0].id == salted.salted(UUID)


def test_the_same_machine_is_recognised_and_another_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = fingerprint.take(CARDS, tmp_path)
    known = fingerprint.machine_hash(one, CARDS)
    again = one.model_copy(update={"engine": "podman 5", "system": "another kernel"})
    assert fingerprint.machine_hash(again, CARDS) == known
    other_card = Gpus((Gpu(0, "GPU-other", "RTX 2060", 6 << 30),), driver="570")
    assert fingerprint.machine_hash(one, other_card) != known
    monkeypatch.setattr(fingerprint, "_machine_id", lambda: "another")
    assert fingerprint.machine_hash(one, CARDS) != known


def test_a_card_asked_for_by_its_uuid_is_written_down_by_its_salted_name() -> None:
    text = f"axes: {{model: [model-a], dataset: [synthetic], gpu: ['{UUID}', '0']}}\n"
    cases = expand(parse(text))
    discreet = discreet_cases(cases, CARDS)
    name = salted.salted(UUID)
    assert [case.gpu for case in discreet] == [name, "0"]
    assert discreet[0].id.endswith("_gpu" + name.removeprefix("salted-")[:8])
    assert UUID.lower() not in discreet_text(text, CARDS).lower()
    # What was written down stands for the same card when it is run again.
    again = expand(parse(discreet_text(text, CARDS)))
    assert [case.id for case in again] == [case.id for case in discreet]
    assert choose(again[0].gpu, CARDS).uuid == UUID


# ------------------------------------------------------------------ old runs, and in words


def test_a_fingerprint_of_before_is_read(tmp_path: Path) -> None:
    old = json.loads((ROOT / "tests/fixtures/run-v1/run.json").read_text())
    machine = RunInfo.model_validate(old).fingerprint
    assert machine.cpu == "Intel(R) Xeon(R) Processor"
    assert machine.cores is None
    assert machine.single_core is None
    card = {"name": "RTX 2060", "memory": 6 << 30}
    older = Fingerprint.model_validate({**old["fingerprint"], "gpus": [card]})
    assert older.gpus[0].id is None
    assert ("GPU 0", "RTX 2060, 6.00 GiB") in rows(older)


def test_in_words() -> None:
    card = {
        "name": "A100",
        "memory": 40 << 30,
        "id": "salted-1",
        "power_limit_w": 250.0,
        "power_range_w": (100.0, 400.0),
        "vbios": "92.00",
        "pcie_generation": 4,
        "pcie_width": 16,
        "mig": True,
        "mig_slices": ["1g.5gb"],
    }
    machine = Fingerprint(
        cpu="Xeon",
        cpu_count=8,
        gpus=(card,),  # type: ignore[arg-type]
        driver="570",
        ram=1 << 34,
        storage=1 << 40,
        system="Linux",
        cores=4,
        cpu_allowed=2,
        cpu_quota=1.5,
        ram_limit=1 << 33,
        cuda="12.8",
    )
    shown = dict(rows(machine))
    assert shown["CPU"] == "Xeon, 4 cores, 8 threads, 2 of them allowed, a quota of 1.5"
    assert shown["GPU 0"] == (
        "A100, 40.00 GiB, 250 W of 100 to 400, PCIe 4 x16, VBIOS 92.00, MIG on (1g.5gb), salted-1"
    )
    assert shown["driver"] == "570, CUDA up to 12.8"
    assert shown["RAM"] == "16.00 GiB, 8.00 GiB allowed"
    assert "engine" not in shown


def test_the_temporary_folder_holds_the_secret_where_there_is_no_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_home(name: str) -> str:
        raise RuntimeError("no home")

    monkeypatch.setattr("platformdirs.user_state_dir", no_home)
    (place,) = salted._places()
    assert place.name == f"harness-{os.geteuid()}.salt"
