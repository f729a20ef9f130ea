from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from harness.analysis.identity import software_key
from harness.catalog import datasets, models, protocols, weights_files
from harness.catalog.datasets import FileEntry
from harness.errors import InputError, MachineError
from harness.host.gpus import CPU, Gpu, Gpus, choose
from harness.images import ImageHere
from harness.matrix import expand, parse
from harness.model import Case, Device, ImageIdentity, PlannedCase
from harness.plan import DataFolders, FoundData, Resolved, locate, plan
from harness.plan import cases as plan_cases
from harness.plan import data as plan_data
from harness.plan.data import verify_file
from harness.preflight import check_results_folder, space_needed

TWO_CARDS = Gpus(
    (Gpu(0, "GPU-aaa", "RTX 2060", 6 << 30), Gpu(1, "GPU-bbb", "RTX 3070", 8 << 30)), driver="570"
)


def _case(text: str = "") -> Case:
    return expand(parse("axes: {model: [model-a], dataset: [synthetic]}\n" + text))[0]


def _plan(
    case: Case, device: Device = CPU, image: str = "sha256:1", name: str = "synthetic"
) -> PlannedCase:
    resolved = Resolved(
        devices={case.gpu: device},
        data={case.dataset: FoundData(datasets()[name], name, None)},
        image_names={case.id: "cpu"},
        images={"cpu": ImageHere(image, ImageIdentity(reference="x", digest=image))},
    )
    return plan([case], resolved)[0]


# ------------------------------------------------------------------ the case key


@pytest.mark.parametrize(
    "change",
    [
        "defaults: {batch_size: 65}",
        "defaults: {precision: tf32}",
        "defaults: {jit: true}",
        "defaults: {protocol: seed, batch_size: 64}",
        "defaults: {protocol: smoke}",
        "env: {OMP_NUM_THREADS: 1}",
        "memory_limit: 6g",
    ],
)
def test_each_ingredient_changes_the_key(change: str) -> None:
    assert _plan(_case()).key != _plan(_case(change)).key


def test_model_and_data_change_the_key() -> None:
    other = expand(parse("axes: {model: [model-b], dataset: [synthetic]}"))[0]
    keys = {_plan(_case()).key, _plan(other).key, _plan(_case(), name="mnist").key}
    assert len(keys) == 3


def test_the_workloads_files_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _plan(_case()).key
    monkeypatch.setattr(plan_cases, "workload_digest", lambda: "another")
    assert _plan(_case()).key != before


def test_gpu_image_measure_and_repeats_do_not_change_the_key() -> None:
    case = _case()
    same = _plan(case).key
    assert _plan(case, Device(kind="gpu", uuid="GPU-9", name="H100")).key == same
    assert _plan(case, image="sha256:2").key == same
    assert _plan(case.model_copy(update={"gpu": "1", "image": "cpu-tf2.15"})).key == same
    assert _plan(_case("repeats: 5")).key == same


def test_the_software_key_changes_with_each_version_and_effective_setting() -> None:
    versions = {"framework": "2.17.0", "keras": "3.3.2", "numpy": "1.26.4", "cuda": "12.8"}
    versions |= {"framework_build": "v", "cudnn": "9", "jit": "False", "tf32": "False"}
    versions |= {"python": "3.11.2"}
    keys = {software_key({**versions, name: "other"}) for name in versions}
    assert len({software_key(versions), *keys}) == len(versions) + 1
    assert software_key({}) is None
    assert software_key({**versions, "host": "other"}) == software_key(versions)


# ------------------------------------------------------------------ the spec


def test_the_spec_has_no_paths_and_the_protocols_numbers() -> None:
    planned = _plan(_case("defaults: {protocol: smoke}"))
    smoke = protocols()["smoke"]
    assert planned.spec["dataset"]["train"]["count"] == smoke.train_images
    assert planned.spec["dataset"]["test"]["count"] == smoke.test_images
    assert planned.spec["protocol"]["epochs"] == smoke.epochs
    assert planned.spec["parameters"] == 30_239_690
    assert planned.spec["device"] == "cpu"
    assert "/" not in str(planned.spec)


def test_parameters_of_the_study_stand_in_the_catalog() -> None:
    assert models()["model-b"].parameters == 129_795_506


def test_equal_cases_on_different_devices_are_both_measured() -> None:
    cases = expand(parse("axes: {model: [model-a], dataset: [synthetic], gpu: ['0', '1']}"))
    devices = {request: choose(request, TWO_CARDS) for request in ("0", "1")}
    resolved = Resolved(
        devices=devices,
        data={"synthetic": FoundData(datasets()["synthetic"], "synthetic", None)},
        image_names={case.id: "cpu" for case in cases},
        images={},
    )
    planned = plan(cases, resolved)
    assert [case.device.uuid for case in planned] == ["GPU-aaa", "GPU-bbb"]
    assert [case.same_as for case in planned] == [None, None]


# ------------------------------------------------------------------ devices


def test_gpus_by_index_uuid_and_auto() -> None:
    assert choose("auto", TWO_CARDS).uuid == "GPU-aaa"
    assert choose("1", TWO_CARDS).name == "RTX 3070"
    assert choose("gpu-BBB", TWO_CARDS).uuid == "GPU-bbb"
    assert choose("cpu", TWO_CARDS) == CPU
    assert choose("auto", Gpus(())) == CPU


def test_a_gpu_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(MachineError, match=r"GPU 7 is not there.*RTX 2060") as refused:
        choose("7", TWO_CARDS)
    assert refused.value.exit_code == 3
    with pytest.raises(MachineError, match="has none"):
        choose("0", Gpus((), problem="NVML Shared Library Not Found"))


# ------------------------------------------------------------------ data


def _published(tmp_path: Path, content: bytes) -> tuple[Path, FileEntry]:
    path = tmp_path / "file.gz"
    path.write_bytes(content)
    entry = FileEntry(bytes=len(content), md5="", sha256=hashlib.sha256(content).hexdigest())
    return path, entry


def test_files_are_verified_by_size_and_checksum(tmp_path: Path) -> None:
    path, entry = _published(tmp_path, b"0123456789")
    verify_file(path, entry)
    path.write_bytes(b"012345")
    with pytest.raises(MachineError, match="is truncated: 6 bytes"):
        verify_file(path, entry)
    path.write_bytes(b"0123456789abc")
    with pytest.raises(MachineError, match="is too long"):
        verify_file(path, entry)
    path.write_bytes(b"012345678X")
    with pytest.raises(MachineError, match="is damaged: its SHA-256"):
        verify_file(path, entry)
    path.unlink()
    with pytest.raises(MachineError, match="cannot be read"):
        verify_file(path, entry)


def test_a_damaged_file_is_never_replaced_by_synthetic_data(tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in datasets()["mnist-10k"].files:
        (folder / name).write_bytes(b"broken")
    with pytest.raises(MachineError, match="truncated"):
        locate("mnist-10k", DataFolders((tmp_path,)), "synthetic")


def test_a_missing_dataset_is_an_error_or_synthetic_of_the_same_counts(tmp_path: Path) -> None:
    nowhere = DataFolders((tmp_path,))
    with pytest.raises(MachineError, match="mnist-10k is not on this machine") as refused:
        locate("mnist-10k", nowhere, None)
    assert "dataset_fallback" in refused.value.next_step
    stand_in = locate("mnist-10k", nowhere, "synthetic")
    assert (stand_in.name, stand_in.stands_in, stand_in.folder) == ("synthetic", True, None)
    assert (stand_in.entry.train.count, stand_in.entry.test.count) == (9000, 1000)


def test_folders_are_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA_DIR", str(tmp_path / "setting"))
    folders = DataFolders.of(tmp_path / "option").folders
    assert folders[:2] == (tmp_path / "option", tmp_path / "setting")
    assert folders[2].name == "data"


def test_imagenet_weights_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_WEIGHTS_DIR", str(tmp_path))
    case = _case("defaults: {weights: imagenet}")
    with pytest.raises(MachineError, match=r"weights of vgg19 are not in .*notop\.h5"):
        _plan(case)
    content = b"weights"
    wanted = weights_files()["vgg19"]
    (tmp_path / wanted.file).write_bytes(content)
    with pytest.raises(MachineError, match="is not the file that Keras publishes"):
        _plan(case)
    md5 = plan_data.file_digest(tmp_path / wanted.file, "md5")
    known = {"vgg19": wanted.model_copy(update={"md5": md5})}
    monkeypatch.setattr(plan_cases, "weights_files", lambda: known)
    planned = _plan(case)
    assert planned.weights_folder == tmp_path.resolve()
    assert planned.spec["weights_files"] == {"vgg19": wanted.file}
    assert planned.key != _plan(_case()).key


# ------------------------------------------------------------------ space and folders


def test_no_space_is_found_before_the_first_case(tmp_path: Path) -> None:
    needed = space_needed([_case()])
    assert needed > 2 * 12 * 30_239_690
    check_results_folder(tmp_path, needed)
    with pytest.raises(MachineError, match="the largest case needs"):
        check_results_folder(tmp_path, 1 << 60)


def test_a_results_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be made: Not a directory"):
        check_results_folder(tmp_path / "file" / "results", 0)


def test_a_users_image_file_joins_the_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.catalog.images import images

    file = tmp_path / "mine.toml"
    file.write_text(
        '[images.mine]\nreference = "localhost:5000/me/tf:1"\nframework = "tensorflow"\n'
    )
    monkeypatch.setenv("HARNESS_IMAGES", str(file))
    images.cache_clear()
    try:
        assert images()["mine"].pinned_reference == "localhost:5000/me/tf:1"
        assert "cpu" in images()
        file.write_text("[images.mine]\nreference = 3\n")
        images.cache_clear()
        with pytest.raises(InputError, match="wrong image entry"):
            images()
        file.write_text("[[[")
        images.cache_clear()
        with pytest.raises(InputError, match="no TOML file"):
            images()
    finally:
        images.cache_clear()


def test_the_pinned_reference_drops_the_tag_but_not_a_port() -> None:
    from harness.catalog import ImageEntry, images

    pinned = images()["tensorflow-25.02"].pinned_reference
    assert pinned.partition("@")[0].endswith("/nvidia/tensorflow")
    assert pinned.partition("@")[2].startswith("sha256:c83b37d2")
    entry = ImageEntry(reference="localhost:5000/tf:1", digest="sha256:1", framework="tensorflow")
    assert entry.pinned_reference == "localhost:5000/tf@sha256:1"
