from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError, MachineError
from harness.matrix import expand, load, parse, select
from harness.model import Device

ROOT = Path(__file__).parents[2]

ISSUE = """
axes:                      # every combination is a case
  model: [model-a, model-b]
  dataset: [mnist, fashion-mnist]
defaults: {framework: tensorflow, protocol: reference, measure: full, precision: float32}
repeats: 1
dataset_fallback: synthetic
"""


def test_every_combination_is_a_case_in_the_order_written() -> None:
    cases = expand(parse(ISSUE))
    assert [(case.model, case.dataset) for case in cases] == [
        ("model-a", "mnist"),
        ("model-a", "fashion-mnist"),
        ("model-b", "mnist"),
        ("model-b", "fashion-mnist"),
    ]
    assert cases[0].id == "model-a_mnist_tensorflow_reference_b64_float32_full"
    assert cases[0].batch_size == 64
    assert cases[0].overrides == {}


def test_what_departs_from_the_protocol_is_an_override() -> None:
    matrix = parse(
        "axes: {model: [model-b], dataset: [mnist], batch_size: [12, 16]}\n"
        "defaults: {protocol: seed, precision: tf32}\n"
        "env: {OMP_NUM_THREADS: 2, TF_CPU_ALLOCATOR_USE_BFC: true}\nmemory_limit: 1g\n"
    )
    twelve, sixteen = expand(matrix)
    same = {
        "precision": "tf32",
        "env": {"OMP_NUM_THREADS": "2", "TF_CPU_ALLOCATOR_USE_BFC": "true"},
        "memory_limit": 1 << 30,
    }
    assert twelve.overrides == same
    assert sixteen.overrides == {"batch_size": 16, **same}


def test_the_seed_protocol_has_a_batch_for_each_model() -> None:
    matrix = parse("axes: {model: [model-a, model-b], dataset: [mnist], protocol: [seed]}")
    assert [case.batch_size for case in expand(matrix)] == [32, 12]


def test_several_gpus_are_an_axis_and_the_file_stands_above_the_command_line() -> None:
    text = "axes: {model: [model-a], dataset: [mnist]}\n"
    assert [case.gpu for case in expand(parse(text), ("0", "1"))] == ["0", "1"]
    assert len({case.id for case in expand(parse(text), ("auto", "cpu", "0"))}) == 3
    fixed = parse(text + "defaults: {gpu: cpu}\n")
    assert [case.gpu for case in expand(fixed, ("0",))] == ["cpu"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("matrices/*.yaml")), ids=lambda path: path.name)
def test_shipped_files_are_valid(path: Path) -> None:
    assert expand(load(path)[0])


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("axes: {modle: [model-a]}", "1:8", "unknown key 'modle'; did you mean 'model'?"),
        ("axis: {}", "1:1", "unknown key 'axis'; did you mean 'axes'?"),
        ("axes: {model: [model-aa]}", "1:16", "did you mean 'model-a'?"),
        ("axes: {dataset: [mnits]}", "1:18", "did you mean 'mnist'?"),
        ("axes: {dataset: [../mnist]}", "1:18", "--data-dir"),
        ("defaults: {protocol: refrence}", "1:12", "did you mean 'reference'?"),
        ("defaults: {precision: fp32}", "1:12", "float32"),
        ("defaults: {framework: tensorflwo}", "1:12", "did you mean 'tensorflow'?"),
        ("defaults:\n  batch_size: -3", "2:3", "greater than 0"),
        ("defaults: {batch_size: yes}", "1:12", "valid integer"),
        ("axes: {model: []}", "1:8", "at least one value"),
        ("axes: {model: model-a}", "1:8", "an axis is a list"),
        ("repeats: 0", "1:1", "greater than or equal to 1"),
        ("env: {TF_CPP_MIN_LOG_LEVEL: 3}", "1:7", "unknown variable"),
        ("axes: {gpu: [nvidia]}", "1:14", "auto, cpu, an index"),
        ("a: 1\na: 2", "2:1", "stands here twice"),
        ("\taxes: {}", "1:1", "cannot start any token"),
        ("axes: !!python/object:os.system {}", "1:7", "not allowed here"),
        ("axes: !local {}", "1:7", "not allowed here"),
        ("!!python/name:os.system axes: {}", "1:1", "not allowed here"),
        ("memory_limit: 1k", "1:1", "greater than or equal to"),
        ("memory_limit: 99999999t", "1:1", "less than"),
        ("env: {XLA_FLAGS: --xla_dump_to=/etc}", "1:7", "holds a path"),
        ('env: {XLA_FLAGS: "a\\0b"}', "1:7", "unprintable"),
        ("defaults: {gpu: MIG-12}", "1:12", "name the whole GPU"),
        ("axes:", "1:1", "axes: has no value; write one, or leave the key out"),
        ("axes: []", "1:1", "axes must be a mapping"),
        ("axes: &a {model: *a}", "1:7", "contains itself"),
        ("axes: &a [*a]", "1:7", "contains itself"),
        ("? [a, b]\n: c", "1:3", "a key must be a plain word"),
        ("axes: {model: [model-a", "1:23", "not valid YAML"),
        ("repeats: 0x_", "1:10", "is no int"),
        ("repeats: !!int", "1:10", "not allowed here"),
    ],
)
def test_each_mistake_has_its_place_and_a_hint(text: str, place: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        expand(parse(text, "file.yaml"))
    assert refused.value.message.startswith(f"file.yaml:{place}: ")
    assert words in refused.value.message
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# only a comment", "is empty"),
        ("- a\n- b", "is a list"),
        ("just words", "is a str"),
        (b"\xff\xfe\x00", "not readable as YAML text"),
        ("a: \x00", "not readable as YAML text"),
        ("axes: {dataset: [mnist]}", "names no model"),
        ("axes: {model: [model-a]}", "names no dataset"),
        ("axes: {model: [model-a, model-a], dataset: [mnist]}", "are the same"),
        ("[" * 3000, "too deeply"),
    ],
)
def test_files_that_are_no_matrix(text: str | bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        expand(parse(text))


def test_anchors_that_blow_up_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(InputError, match="more than 100000 values"):
        parse("\n".join(lines))


def test_a_missing_file_names_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no matrix file"):
        load(tmp_path / "none.yaml")


_words = st.sampled_from(
    ["axes", "model", "model-a", "defaults", "[", "]", "{", "}", ":", " ", "\n", "- ", "&a", "*a"]
    + ["!!int", "!x", "'", '"', "|", "#", "mnist", "dataset", "1", "0x", "~", "<<", "?", ",", "%"]
)


@given(st.binary() | st.lists(_words).map("".join).map(str.encode))
def test_no_bytes_give_a_traceback(raw: bytes) -> None:
    try:
        expand(parse(raw))
    except InputError as error:
        assert error.message


_axes = st.fixed_dictionaries(
    {
        "model": st.lists(st.sampled_from(["model-a", "model-b"]), min_size=1, unique=True),
        "dataset": st.lists(st.sampled_from(["mnist", "synthetic"]), min_size=1, unique=True),
    },
    optional={
        "batch_size": st.lists(st.integers(1, 512), min_size=1, max_size=4, unique=True),
        "jit": st.lists(st.booleans(), min_size=1, unique=True),
        "precision": st.lists(st.sampled_from(["float32", "tf32"]), min_size=1, unique=True),
        "weights": st.lists(st.sampled_from(["random", "imagenet"]), min_size=1, unique=True),
        "gpu": st.lists(
            st.sampled_from(["auto", "0", "1", "GPU-12345678-9"]), min_size=1, unique=True
        ),
    },
)


@given(_axes)
def test_expansion_is_complete_deterministic_and_has_unique_ids(
    axes: dict[str, list[object]],
) -> None:
    import json

    text = json.dumps({"axes": axes})
    cases = expand(parse(text))
    count = 1
    for values in axes.values():
        count *= len(values)
    assert len({case.id for case in cases}) == len(cases) == count
    assert cases == expand(parse(text))
    assert all(len(case.id) < 200 and "/" not in case.id for case in cases)


# ------------------------------------------------------------------ gpu_only

CARD = Device(kind="gpu", name="card", uuid="GPU-1")
PROCESSOR = Device(kind="cpu")
BOTH = "axes: {model: [model-b, model-b-2021], dataset: [mnist, synthetic]}\n"
ONLY = BOTH + "gpu_only: {model: [model-b-2021], dataset: [mnist]}\n"


def test_gpu_only_cases_are_measured_on_a_gpu_and_left_out_on_the_processor() -> None:
    matrix = parse(ONLY)
    cases = expand(matrix)
    assert select(cases, matrix, {"auto": CARD}) == (cases, [])
    kept, left_out = select(cases, matrix, {"auto": PROCESSOR})
    assert [(c.model, c.dataset) for c in left_out] == [("model-b-2021", "mnist")]
    assert len(kept) == 3


def test_gpu_only_goes_by_the_device_of_each_case() -> None:
    matrix = parse(ONLY)
    cases = expand(matrix, ("0", "cpu"))
    _, left_out = select(cases, matrix, {"0": CARD, "cpu": PROCESSOR})
    assert [case.gpu for case in left_out] == ["cpu"]


def test_without_gpu_only_nothing_is_left_out() -> None:
    matrix = parse(BOTH)
    cases = expand(matrix)
    assert select(cases, matrix, {"auto": PROCESSOR}) == (cases, [])


def test_a_matrix_of_gpu_only_cases_needs_a_gpu() -> None:
    matrix = parse(BOTH + "gpu_only: {dataset: [mnist, synthetic]}\n")
    with pytest.raises(MachineError, match="every case of the matrix is gpu_only"):
        select(expand(matrix), matrix, {"auto": PROCESSOR})


def test_gpu_only_names_what_the_matrix_has() -> None:
    with pytest.raises(InputError, match="names model model-a, which no case of the matrix has"):
        expand(parse(BOTH + "gpu_only: {model: [model-a]}\n"))
    with pytest.raises(InputError, match="did you mean 'model'"):
        parse(BOTH + "gpu_only: {modell: [model-b]}\n")


def test_bench_adds_the_published_model_b_on_a_gpu_alone() -> None:
    matrix, _ = load(ROOT / "matrices/bench.yaml")
    cases = expand(matrix)
    kept, left_out = select(cases, matrix, {"auto": PROCESSOR})
    assert {case.model for case in kept} == {"model-a", "model-b"}
    assert {case.model for case in left_out} == {"model-b-2021"}
