"""include, exclude and settings, and the documents and files that use them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.matrix import expand, parse
from harness.model import Case, Status

ROOT = Path(__file__).parents[2]
TWO = "axes: {model: [model-a, model-b], batch_size: [32, 64]}\ndefaults: {dataset: synthetic}\n"


def cases(more: str = "", base: str = TWO) -> list[Case]:
    return expand(parse(base + more))


def short(found: list[Case]) -> list[tuple[str, int, str]]:
    return [(case.model, case.batch_size, case.precision) for case in found]


def test_an_entry_adds_to_the_cases_that_it_matches() -> None:
    found = cases("include:\n- {model: model-b, precision: tf32, timeout: 1h, tags: slow}\n")
    assert short(found) == [
        ("model-a", 32, "float32"),
        ("model-a", 64, "float32"),
        ("model-b", 32, "tf32"),
        ("model-b", 64, "tf32"),
    ]
    assert [case.limits.timeout_s for case in found] == [None, None, 3600.0, 3600.0]
    assert [case.tags for case in found] == [(), (), ("slow",), ("slow",)]


def test_an_entry_that_matches_none_is_a_case_of_its_own() -> None:
    found = cases("include:\n- {model: model-a, batch_size: 512, precision: tf32}\n")
    assert short(found)[4:] == [("model-a", 512, "tf32")]
    assert found[4].dataset == "synthetic"


def test_an_entry_without_axes_adds_to_all_and_a_later_one_stands_above_it() -> None:
    found = cases(
        "include:\n- {precision: tf32, timeout: 1h}\n- {model: model-b, precision: float32}\n"
    )
    assert [case.precision for case in found] == ["tf32", "tf32", "float32", "float32"]
    assert {case.limits.timeout_s for case in found} == {3600.0}


def test_an_entry_does_not_match_what_an_earlier_one_made() -> None:
    found = cases(
        "include:\n- {model: model-a, batch_size: 8}\n- {batch_size: 8, model: model-b}\n"
    )
    assert short(found)[4:] == [("model-a", 8, "float32"), ("model-b", 8, "float32")]


def test_a_file_of_include_alone_is_a_list_of_cases() -> None:
    base = "include:\n- {model: model-a, dataset: mnist}\n- {model: model-b, dataset: synthetic}\n"
    assert [(case.model, case.dataset) for case in cases(base=base)] == [
        ("model-a", "mnist"),
        ("model-b", "synthetic"),
    ]


def test_an_entry_may_name_the_device_whatever_the_command_line_says() -> None:
    found = expand(parse(TWO + "include:\n- {model: model-b, gpu: cpu}\n"), gpu=("0", "1"))
    assert [case.gpu for case in found] == ["0", "1", "0", "1", "cpu", "cpu"]


def test_settings_of_the_matrix_and_of_an_entry_are_joined() -> None:
    found = cases(
        "timeout: 2h\nstall_timeout: 5m\nretries: 1\nmemory_limit: 8g\ntags: [all]\n"
        "env: {OMP_NUM_THREADS: 1}\n"
        "include:\n"
        "- {model: model-b, retries: 0, memory_limit: 4g, tags: [b], expect: [oom, oom_host],"
        " env: {TF_NUM_INTEROP_THREADS: 1}}\n"
    )
    first, last = found[0], found[-1]
    assert (first.limits.timeout_s, first.limits.stall_timeout_s, first.limits.retries) == (
        7200.0,
        300.0,
        1,
    )
    assert (first.tags, first.expect) == (("all",), ())
    assert first.overrides["env"] == {"OMP_NUM_THREADS": "1"}
    assert (last.limits.timeout_s, last.limits.retries) == (7200.0, 0)
    assert (last.tags, last.expect) == (("all", "b"), (Status.OOM, Status.OOM_HOST))
    assert last.overrides["memory_limit"] == 4 << 30
    assert last.overrides["env"] == {"OMP_NUM_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def test_exclude_takes_away_what_has_all_of_its_values() -> None:
    assert short(cases("exclude:\n- {model: model-b, batch_size: 64}\n")) == [
        ("model-a", 32, "float32"),
        ("model-a", 64, "float32"),
        ("model-b", 32, "float32"),
    ]
    assert len(cases("exclude:\n- {batch_size: 64}\n")) == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("exclude:\n- {batch_size: 65}\n", "entry 1 of exclude (batch_size: 65) matches no case"),
        ("exclude:\n- {}\n", "entry 1 of exclude is empty"),
        ("exclude:\n- {dataset: synthetic}\n", "exclude takes every case away"),
        ("exclude:\n- {batchsize: 64}\n", "matrix:4:4: unknown key 'batchsize'; did you mean"),
        ("include:\n- {model: model-c}\n", "matrix:4:4: include.model: unknown model 'model-c'"),
        ("include:\n- {modle: model-a}\n", "matrix:4:4: unknown key 'modle'; did you mean 'model'"),
        ("include:\n- {model: model-a, batch_size: 32}\n- {model: model-a, batch_size: 16}\n"
         "- {model: model-a, batch_size: 16}\n", "two cases of the matrix are the same"),
        ("retries: 11\n", "matrix:3:1: retries"),
        ("expect: skipped\n", "matrix:3:1: expect: unknown status 'skipped'"),
        ("tags: [a b]\n", "tags"),
        ("order: random\n", "matrix:3:1: order: unknown order 'random'"),
        ("stall_timeout: soon\n", "matrix:3:1: stall_timeout"),
        ("include: {model: model-a}\n", "matrix:3:1: include"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(more: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        cases(more)
    assert words in error.value.message


def test_too_many_cases_are_refused_before_they_are_made() -> None:
    sizes = ", ".join(map(str, range(1, 40_001)))
    with pytest.raises(InputError, match="has 120000 cases; at most 100000"):
        expand(parse(f"axes: {{batch_size: [{sizes}], model: [model-a, model-b, model-b-2021]}}"))


def test_the_example_in_the_documents_is_a_matrix() -> None:
    text = (ROOT / "docs" / "matrix.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    found = expand(parse(example))
    assert len(found) == 10
    assert [case.expect for case in found if case.tags] == [(Status.OOM,)]


def test_the_night_and_the_images_are_what_they_say() -> None:
    night = expand(parse((ROOT / "matrices" / "full.yaml").read_text("utf-8")))
    assert len(night) == 48
    assert {case.measure for case in night} == {"quick"}
    images = expand(parse((ROOT / "matrices" / "images.yaml").read_text("utf-8")))
    assert [(case.image, case.gpu) for case in images] == [
        ("tensorflow-25.02", "auto"),
        ("cpu", "cpu"),
        ("cpu-tf2.15", "cpu"),
        ("cpu-tf2.21", "cpu"),
    ]
