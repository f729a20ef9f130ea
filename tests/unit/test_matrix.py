from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.catalog.images import SETTING, images
from harness.errors import InputError, MachineError
from harness.matrix import expand, load, parse, select
from harness.matrix.json_schema import matrix_schema
from harness.matrix.schema import AXES, Matrix
from harness.model import Device, Limits, Status

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
def test_shipped_files_are_valid_and_tell_editors_their_schema(path: Path) -> None:
    matrix, text = load(path)
    assert expand(matrix)
    told = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / told).resolve() == ROOT / "docs" / "matrix.schema.json"


def test_the_schema_for_editors_is_that_of_the_code() -> None:
    """Made anew by ``harness schema > docs/matrix.schema.json``."""
    kept = json.loads((ROOT / "docs" / "matrix.schema.json").read_text("utf-8"))
    assert kept == matrix_schema()
    assert set(kept["properties"]) == set(Matrix.model_fields)
    assert "null" not in json.dumps(kept)


def test_a_users_own_images_are_not_in_the_schema_and_pass_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = matrix_schema()
    own = tmp_path / "images.toml"
    own.write_text('[images.mine]\nreference = "mine:1"\nframework = "tensorflow"\n', "utf-8")
    monkeypatch.setenv(SETTING, str(own))
    images.cache_clear()
    try:
        assert expand(parse("axes: {model: [model-a], dataset: [mnist], image: [mine]}"))
        assert matrix_schema() == before
    finally:
        images.cache_clear()


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
        ("model: [model-a]", "1:1", "it stands under axes, as model: […]"),
        ("axes: {timeout: 1h}", "1:8", "at the top of the file or in an entry of include"),
        ("axes: {model: [model-a, model-a]}", "1:8", "two values are the same: 'model-a'"),
        ("include: [{modle: model-a}]", "1:12", "did you mean 'model'?"),
        ("include: [{repeats: 3}]", "1:12", "it stands at the top of the file, not in include"),
        ("include: [{env: {OMP_NUM_THREAD: 1}}]", "1:18", "did you mean 'OMP_NUM_THREADS'?"),
        ("include: [{model: [model-a]}]", "1:12", "one value here, not a list"),
        ("include: {model: model-a}", "1:1", "a list, such as [a, b]"),
        ("include: [model-a]", "1:11", "an entry of include must be a mapping"),
        ("include: [{model: model-a}]", "1:11", "a case of its own, and names no dataset"),
        ("exclude: [{timeout: 1h}]", "1:12", "not in exclude"),
        ("exclude: [{image: }]", "1:12", "exclude.image: has no value"),
        ("exclude: [{model: model-aa}]", "1:12", "did you mean 'model-a'?"),
        ("timeout: soon", "1:1", "write 90s, 30m or 2h"),
        ("stall_timeout: 0", "1:1", "write 90s, 30m or 2h"),
        ("retries: 11", "1:1", "less than or equal to 10"),
        ("retries: yes", "1:1", "valid integer"),
        ("expect: [omm]", "1:10", "did you mean 'oom'?"),
        ("expect: skipped", "1:1", "unknown status 'skipped'"),
        ("expect: []", "1:1", "an empty list says nothing"),
        ("order: shufled", "1:1", "did you mean 'shuffled'?"),
        ("seed: -1", "1:1", "greater than or equal to 0"),
        ("tags: [a b]", "1:8", "one short word"),
        ("env: [OMP_NUM_THREADS]", "1:1", "should be a mapping"),
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
        ("{}", r"matrix:1:1: the matrix names no model"),
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


FULL = """
axes: {model: [model-a, model-b], dataset: [mnist], batch_size: [32, 64]}
"""


@pytest.mark.parametrize(
    ("more", "place", "words"),
    [
        ("exclude:\n- {batch_size: 32}\n- {model: model-a, batch_size: 65}", "5:3", "entry 2 of"),
        ("exclude: [{}]", "3:11", "entry 1 of exclude is empty"),
        ("exclude: [{dataset: mnist}]", "3:1", "exclude takes every case away"),
        ("gpu_only:\n  model: [model-a, model-b-2021]", "4:20", "names model model-b-2021"),
        (
            "include:\n- &a {model: model-a, dataset: mnist, batch_size: 8}\n- *a",
            "4:3",
            "two cases of the matrix are the same",
        ),
    ],
)
def test_what_only_the_cases_show_has_its_place_too(more: str, place: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        expand(parse(FULL + more, "file.yaml"))
    assert refused.value.message.startswith(f"file.yaml:{place}: ")
    assert words in refused.value.message
    assert refused.value.next_step


def test_an_exclude_may_name_a_gpu_that_this_command_line_does_not() -> None:
    text = FULL + "exclude: [{model: model-b, gpu: cpu}]"
    assert len(expand(parse(text), ("0",))) == 4
    assert len(expand(parse(text), ("0", "cpu"))) == 6
    with pytest.raises(InputError, match="entry 1 of exclude"):
        expand(parse(text + "\ndefaults: {gpu: '0'}"))
    with pytest.raises(InputError, match="entry 1 of exclude"):
        expand(parse(FULL + "exclude: [{model: model-b-2021, gpu: cpu}]"))


def test_exclude_goes_by_what_the_protocol_fills_in() -> None:
    text = "axes: {model: [model-a, model-b], dataset: [mnist]}\ndefaults: {protocol: seed}\n"
    (left,) = expand(parse(text + "exclude: [{batch_size: 12}]"))
    assert left.model == "model-a"


def test_what_is_excluded_is_no_double() -> None:
    same = "- {model: model-a, dataset: mnist, batch_size: 8}\n"
    cases = expand(parse(FULL + "include:\n" + same * 2 + "exclude: [{batch_size: 8}]"))
    assert len(cases) == 4


def test_only_what_changes_the_work_is_in_the_id() -> None:
    plain = expand(parse(FULL))
    text = FULL + "timeout: 1h\nstall_timeout: 60\nretries: 0\nexpect: oom\ntags: [a]\n"
    settled = expand(parse(text))
    assert [case.id for case in settled] == [case.id for case in plain]
    assert [case.overrides for case in settled] == [case.overrides for case in plain]
    assert settled[0].limits == Limits(timeout_s=3600.0, stall_timeout_s=60.0, retries=0)
    assert (settled[0].expect, settled[0].tags) == ((Status.OOM,), ("a",))
    assert plain[0].limits == Limits()
    limited = expand(parse(FULL + "include: [{model: model-a, memory_limit: 6g}]"))
    assert [case.id for case in limited[2:]] == [case.id for case in plain[2:]]
    assert not {case.id for case in limited[:2]} & {case.id for case in plain}


_words = st.sampled_from(
    ["axes", "model", "model-a", "defaults", "[", "]", "{", "}", ":", " ", "\n", "- ", "&a", "*a"]
    + ["include", "exclude", "expect", "oom", "tags", "env", "timeout", "1h", "gpu", "repeats"]
    + ["!!int", "!x", "'", '"', "|", "#", "mnist", "dataset", "1", "0x", "~", "<<", "?", ",", "%"]
)


@given(st.binary() | st.lists(_words).map("".join).map(str.encode))
def test_no_bytes_give_a_traceback(raw: bytes) -> None:
    try:
        expand(parse(raw))
    except InputError as error:
        assert error.message


_leaves = (
    st.sampled_from(
        ["model-a", "mnist", "tf32", "cpu", "oom", "1h", "6g", "shuffled", "cpu-tf2.15"]
    )
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
)
_keys = st.sampled_from(sorted({*Matrix.model_fields, *AXES, "OMP_NUM_THREADS"}))
_sections = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(_keys, _sections, max_size=5))
def test_no_values_under_any_keys_give_a_traceback(content: dict[str, Any]) -> None:
    try:
        expand(parse(json.dumps(content)))
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


# ------------------------------------------------------------------ include and exclude

_VALUES: dict[str, list[Any]] = {
    "model": ["model-a", "model-b"],
    "batch_size": [8, 16],
    "precision": ["float32", "tf32"],
    "jit": [False, True],
}
_some = st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in _VALUES.items()})
_lists = st.fixed_dictionaries(
    {"model": st.just(_VALUES["model"])},
    optional={k: st.just(v) for k, v in _VALUES.items() if k != "model"},
)


def _as_in_the_book(axes: dict[str, Any], include: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a CI's strategy matrix does, entry by entry and one combination after another."""
    written = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    found = [dict(combination) for combination in written]
    own = []
    for entry in include:
        fits = [
            number
            for number, combination in enumerate(written)
            if all(combination[k] == v for k, v in entry.items() if k in combination)
        ]
        for number in fits:
            found[number].update(entry)
        if not fits:
            own.append(entry)
    return found + own


@given(_lists, st.lists(_some, max_size=5), st.data())
def test_include_does_as_a_strategy_matrix_and_exclude_wins(
    axes: dict[str, Any], include: list[dict[str, Any]], data: st.DataObject
) -> None:
    axes = {name: axes[name] for name in AXES if name in axes}
    content: dict[str, Any] = {
        "axes": axes,
        "defaults": {"model": "model-a", "dataset": "synthetic", "batch_size": 8, "jit": False},
        "include": include,
    }
    wanted = [
        {"precision": "float32", **content["defaults"], **choice}
        for choice in _as_in_the_book(axes, include)
    ]
    doubles = len({tuple(sorted(choice.items())) for choice in wanted}) < len(wanted)
    try:
        cases = expand(parse(json.dumps(content)))
    except InputError as error:
        assert doubles
        assert "are the same" in error.message
        return
    assert not doubles
    assert [{name: getattr(case, name) for name in wanted[0]} for case in cases] == wanted
    victim = data.draw(st.sampled_from(wanted))
    entry = {k: victim[k] for k in data.draw(st.sets(st.sampled_from(sorted(_VALUES)), min_size=1))}
    left = [case for case in cases if any(getattr(case, k) != v for k, v in entry.items())]
    text = json.dumps({**content, "exclude": [entry]})
    if left:
        assert expand(parse(text)) == left
    else:
        with pytest.raises(InputError, match="takes every case away"):
            expand(parse(text))
