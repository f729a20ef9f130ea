"""What a plan tells, without a container engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.campaign import Request, prepare, preview, run
from harness.catalog import images
from harness.errors import InputError
from harness.matrix import parse, parse_selection
from harness.plan import here as here_module
from harness.report.plan import FORMATS
from harness.results import history
from harness.results.reading import find_run, read_run
from harness.runtimes.apptainer_images import sif_name
from harness.runtimes.interpreter import Interpreter
from tests.unit.runs import completing, prepared
from tests.unit.test_campaign import STUDY, ignore
from tests.unit.test_resume import FOUR


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")


def here(tmp_path: Path, **more: object) -> Request:
    return Request(results=tmp_path / "results", data_dir=tmp_path, **more)  # type: ignore[arg-type]


def test_cases_keys_and_ingredients_are_those_of_a_run(tmp_path: Path) -> None:
    found = preview(parse(FOUR), here(tmp_path))
    made, _ = prepared(FOUR, lambda spec: completing(), tmp_path / "results")
    assert [cell.key for cell in found.cells] == [case.key for case in made.planned]
    assert [cell.ingredients for cell in found.cells] == [c.ingredients for c in made.planned]
    assert not (tmp_path / "results").exists()


def test_what_has_to_be_fetched_and_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache"))
    online = preview(parse(STUDY.replace("dataset_fallback: synthetic", "")), here(tmp_path))
    assert [supply.state for supply in online.datasets] == ["to be fetched"] * 2
    assert all((supply.download or 0) > 10_000_000 for supply in online.datasets)
    assert not any(cell.refused for cell in online.cells)
    offline = preview(
        parse(STUDY.replace("dataset_fallback: synthetic", "")), here(tmp_path, offline=True)
    )
    assert [cell.refused for cell in offline.cells] == [
        "the dataset mnist is missing",
        "the dataset fashion-mnist is missing",
    ] * 2
    assert offline.refused


def test_a_gpu_that_is_not_there_is_refused_case_by_case(tmp_path: Path) -> None:
    text = FOUR + "include:\n- {batch_size: 8, gpu: '7'}\n"
    found = preview(parse(text), here(tmp_path))
    refused = [cell for cell in found.cells if cell.refused]
    assert [cell.case.batch_size for cell in refused] == [8]
    assert "GPU 7 is not there" in str(refused[0].refused)
    assert sum(cell.key is not None for cell in found.cells) == 3


@pytest.mark.parametrize("framework", [True, False])
def test_without_an_engine_it_refuses_what_a_run_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, framework: bool
) -> None:
    modules = ("numpy", "tensorflow") if framework else ("numpy",)
    monkeypatch.setattr(
        "harness.plan.runtime.ask", lambda python: Interpreter(python, (3, 11, 2), modules)
    )
    found = preview(parse(FOUR), here(tmp_path))
    assert found.refused is not framework
    (image,) = found.images
    if framework:
        assert image.state.startswith("not needed: no Docker engine answers at unix:///nowhere")
    else:
        assert found.problems == (
            "no Docker engine answers at unix:///nowhere; and without a container: "
            "this Python environment has no tensorflow",
        )


def test_an_image_that_is_named_needs_an_engine(tmp_path: Path) -> None:
    found = preview(parse(FOUR.replace("smoke}", "smoke, image: cpu}")), here(tmp_path))
    assert "the matrix names the image cpu" in found.problems[0]


def test_the_time_is_that_of_earlier_records_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = prepared(FOUR, lambda spec: completing(), tmp_path / "results")
    outcome = run(made, ignore)
    monkeypatch.setattr("harness.host.fingerprint.machine_hash", lambda *_: made.machine_hash)
    found = preview(parse(FOUR + "repeats: 3\n"), here(tmp_path))
    assert found.unknown == 0
    took = [cell.expected_s for cell in found.cells]
    assert found.expected_s == pytest.approx(3 * sum(seconds or 0 for seconds in took))
    assert history.expected(tmp_path / "results", "another machine") == {}
    kept = read_run(find_run(outcome.folder.name, tmp_path / "results"))
    assert len(kept.records) == 4


def test_a_selection_takes_some_of_the_cases(tmp_path: Path) -> None:
    chosen = here(tmp_path, selection=parse_selection(["batch_size=8,16"], ["batch_size=16"]))
    assert [cell.case.batch_size for cell in preview(parse(FOUR), chosen).cells] == [8]
    with pytest.raises(InputError, match="leave none of the 4 cases") as error:
        preview(parse(FOUR), here(tmp_path, selection=parse_selection(["batch_size=9"])))
    assert "batch_size is 16, 32, 64, 8" in error.value.next_step


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ("model", "is not of the form key=value"),
        ("model=", "is not of the form key=value"),
        ("modle=model-a", "unknown key 'modle'; did you mean 'model'"),
    ],
)
def test_a_selection_that_is_none_is_refused(only: str, words: str) -> None:
    with pytest.raises(InputError, match="--only") as error:
        parse_selection([only])
    assert words in error.value.message


def test_each_format_tells_the_same_cases(tmp_path: Path) -> None:
    found = preview(parse(FOUR), here(tmp_path))
    names = [cell.case.id for cell in found.cells]
    assert FORMATS["ids"](found).splitlines() == names
    content = json.loads(FORMATS["json"](found))
    assert [cell["id"] for cell in content["cases"]] == names
    assert content["cases"][0]["ingredients"]["model"] == "model-a"
    table = FORMATS["table"](found)
    assert all(name in table for name in names)
    assert "no Docker engine answers" in table
    assert "cases: 4, measured: 4, repeats: 1, order: interleaved" in table


def test_a_python_that_is_named_is_asked_instead_of_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = ("numpy", "tensorflow")
    monkeypatch.setattr(
        "harness.plan.runtime.ask", lambda python: Interpreter(python, (3, 11, 2), modules)
    )
    found = preview(parse(FOUR), here(tmp_path, runtime="local", python="/x/python"))
    assert not found.refused
    assert found.images[0].state == "not needed: the cases run in /x/python"
    jax = preview(
        parse(FOUR.replace("smoke}", "smoke, framework: jax}")),
        here(tmp_path, runtime="local", python="/x/python"),
    )
    assert jax.problems == ("/x/python has no jax and no keras",)


def test_a_runtime_that_is_asked_for_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto` falls back to this environment, as a run does; a name does not."""
    docker = preview(parse(FOUR), here(tmp_path, runtime="docker"))
    assert docker.refused
    assert docker.problems == ("no Docker engine answers at unix:///nowhere",)
    monkeypatch.setenv("PATH", str(tmp_path))
    apptainer = preview(parse(FOUR), here(tmp_path, runtime="apptainer"))
    assert apptainer.problems == ("neither apptainer nor singularity is to be found",)
    assert [supply.state for supply in apptainer.images] == ["not known"]


def test_apptainer_has_images_as_files_and_builds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.campaign.supplies.find_program", lambda: "/x/apptainer")
    monkeypatch.setattr("harness.runtimes.apptainer_images.sif_folder", lambda: tmp_path / "sif")
    asked = here(tmp_path, runtime="apptainer")
    built = preview(parse(FOUR), asked)
    assert built.problems == ("apptainer can only pull, and cpu is built from a Dockerfile",)
    name = sif_name(images()["tensorflow-25.02"])
    pulled = parse(FOUR.replace("smoke}", "smoke, image: tensorflow-25.02}"))
    assert [supply.state for supply in preview(pulled, asked).images] == ["to be pulled"]
    (tmp_path / "sif").mkdir()
    (tmp_path / "sif" / name).touch()
    there = preview(pulled, asked)
    assert [supply.state for supply in there.images] == ["here"]
    assert there.images[0].digest == images()["tensorflow-25.02"].digest
    assert not there.refused


def test_an_interpreter_is_asked_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: object) -> None:
        raise AssertionError("fetched before the interpreter was asked")

    monkeypatch.setattr(here_module, "fetch_missing", fetch)
    text = STUDY.replace("dataset_fallback: synthetic", "")
    with pytest.raises(InputError, match="there is no such program"):
        prepare(parse(text), text, here(tmp_path, runtime="local", python="/x/python"), ignore)
