"""What a machine is sent, and what it is asked for before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness.plan.cases as plan_cases
import harness.plan.data as plan_data
from harness.catalog import datasets, weights_files
from harness.errors import MachineError
from harness.matrix import Selection, parse
from harness.plan.data import file_digest, locate_weights
from harness.remote import agent
from harness.remote.preparing import lacking
from harness.remote.supplies import Supply, here

MATRIX = "axes: {model: [model-a], dataset: [synthetic]}\ndefaults: {weights: imagenet}\n"


def test_weights_go_along_where_all_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_WEIGHTS_DIR", str(tmp_path))
    assert here(parse(MATRIX), ("auto",), Selection(), None) == []
    wanted = weights_files()["vgg19"]
    (tmp_path / wanted.file).write_bytes(b"weights")
    assert here(parse(MATRIX), ("auto",), Selection(), None) == []  # damaged: they stay here
    md5 = file_digest(tmp_path / wanted.file, "md5")
    known = {"vgg19": wanted.model_copy(update={"md5": md5})}
    monkeypatch.setattr(plan_cases, "weights_files", lambda: known)
    (supply,) = here(parse(MATRIX), ("auto",), Selection(), None)
    assert (supply.name, supply.size) == (f"weights/{wanted.file}", 7)


def test_weights_that_cannot_be_read_stay_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, algorithm: str) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("HARNESS_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr(plan_data, "file_digest", refuse)
    wanted = {"vgg19": weights_files()["vgg19"]}
    (tmp_path / wanted["vgg19"].file).write_bytes(b"weights")
    with pytest.raises(MachineError, match="cannot be read: Permission denied"):
        locate_weights(wanted)
    assert here(parse(MATRIX), ("auto",), Selection(), None) == []


@pytest.mark.parametrize("there", [{"data/a/1": 1}, {"data/a/1": 1, "data/a/2": 3}, {}])
def test_a_folder_of_which_a_file_is_lacking_is_sent_whole(there: dict[str, int]) -> None:
    sizes = {"data/a/1": 1, "data/a/2": 2, "data/b/1": 1, "weights/w": 9}
    supplies = [Supply(name, Path(name), size) for name, size in sizes.items()]
    found = {**dict.fromkeys(sizes), "data/b/1": 1, "weights/w": 9, **there}
    assert [supply.name for supply in lacking(supplies, found)] == ["data/a/1", "data/a/2"]
    assert lacking(supplies, sizes) == []


def test_a_dataset_goes_along_by_its_place_below_the_jobs_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    matrix = "axes: {model: [model-a], dataset: [mnist-10k, synthetic]}\n"
    entry = datasets()["mnist-10k"]
    folder = tmp_path / str(entry.folder)
    folder.mkdir()
    assert here(parse(matrix), ("auto",), Selection(), tmp_path) == []
    for name in entry.files:
        (folder / name).touch()
    found = {
        supply.name: supply.path for supply in here(parse(matrix), ("auto",), Selection(), tmp_path)
    }
    assert found == {f"data/{entry.folder}/{name}": folder / name for name in entry.files}


def test_a_machine_is_asked_where_the_harness_would_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HARNESS_DATA_DIR", "HARNESS_WEIGHTS_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for path, size in ((".cache/harness/data/mnist/a.gz", 3), (".keras/models/w.h5", 5)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(bytes(size))
    agent.sizes("-", "data/mnist/a.gz", "weights/w.h5", "weights/a.gz", "data/w.h5")
    (line,) = [text for text in capsys.readouterr().out.splitlines() if text]
    assert json.loads(line[len(agent.MARK) :]) == {
        "data/mnist/a.gz": 3,
        "weights/w.h5": 5,
        "weights/a.gz": None,
        "data/w.h5": None,
    }


def test_files_that_stand_in_two_folders_there_are_whole_in_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_DATA_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for path in ("own/mnist/a", "cache/harness/data/mnist/b", "cache/harness/data/mnist/c"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    agent.sizes("-", "data/mnist/a", "data/mnist/b", "data/mnist/c")
    (line,) = [text for text in capsys.readouterr().out.splitlines() if text]
    found = {"data/mnist/a": None, "data/mnist/b": 1, "data/mnist/c": 1}
    assert json.loads(line[len(agent.MARK) :]) == found
