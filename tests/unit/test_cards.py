"""The catalog's figures: what cards can compute at most, and what the models ask for."""

from __future__ import annotations

import pytest

from harness.catalog import card_of, cards, models
from harness.model import Case
from harness.plan.cases import _ingredients
from tests.unit.comparing import MNIST, case

MULTIPLY_ADDS = {"model-a": 0.408e9, "model-b": 0.361e9}
"""Of a forward pass of one 32 x 32 image, counted by hand from the layers."""


@pytest.mark.parametrize("model", MULTIPLY_ADDS)
def test_the_forward_pass_is_twice_its_multiply_adds(model: str) -> None:
    assert models()[model].forward_flops == pytest.approx(2 * MULTIPLY_ADDS[model], rel=0.02)


def test_a_frozen_base_is_trained_forward_only() -> None:
    found = models()
    frozen = found["model-a"]
    assert frozen.forward_flops < frozen.training_flops < 1.1 * frozen.forward_flops
    for name in ("model-b", "model-b-2021"):
        assert found[name].training_flops == pytest.approx(3 * found[name].forward_flops, rel=0.02)
    assert found["model-b-2021"].forward_flops < found["model-b"].forward_flops


def test_every_model_says_who_counted_its_flops() -> None:
    assert all("benchmarks/model_flops.py" in model.flops_source for model in models().values())


def test_flops_are_no_part_of_a_cases_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def key_of(of: Case) -> dict[str, object]:
        return _ingredients(of, MNIST, {})

    before = key_of(case())
    other = {
        name: model.model_copy(update={"training_flops": 1}) for name, model in models().items()
    }
    monkeypatch.setattr("harness.plan.cases.models", lambda: other)
    assert key_of(case()) == before
    assert "flops" not in str(before)


# ------------------------------------------------------------------ cards


@pytest.mark.parametrize(
    ("name", "precision", "peak"),
    [
        ("GeForce RTX 2070", "float32", 7.5e12),  # as drivers before 465 spell it
        ("NVIDIA GeForce RTX 3070", "tf32", 20.3e12),
        ("NVIDIA GeForce RTX 3090", "mixed_float16", 71e12),
        ("NVIDIA A100-SXM4-80GB", "mixed_bfloat16", 312e12),
        ("A100-SXM4-40GB", "tf32", 156e12),
        ("NVIDIA A100-PCIE-40GB", "float32", 19.5e12),
        ("NVIDIA A100 80GB PCIe", "float32", 19.5e12),
        ("NVIDIA A10", "float32", 31.2e12),
        ("Tesla V100-SXM2-16GB", "mixed_float16", 125e12),
        ("Tesla T4", "mixed_float16", 65e12),
        ("NVIDIA H100 80GB HBM3", "mixed_bfloat16", 989.4e12),
        ("NVIDIA H200", "float32", 67e12),
        ("NVIDIA L4", "tf32", 60e12),
        ("NVIDIA L40S", "tf32", 183e12),
    ],
)
def test_a_card_is_found_by_the_name_nvml_gives_it(name: str, precision: str, peak: float) -> None:
    found = card_of(name)
    assert found is not None
    assert found.peak(precision) == peak


def test_of_the_names_that_fit_the_longest_counts() -> None:
    plain, ti = card_of("NVIDIA GeForce RTX 2080"), card_of("NVIDIA GeForce RTX 2080 Ti")
    assert plain is not None
    assert ti is not None
    assert (plain.float32, ti.float32) == (10.0e12, 13.4e12)


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "NVIDIA",
        "Some GPU",
        "NVIDIA A10G",
        "NVIDIA GeForce RTX 3070 Ti",
        "NVIDIA GeForce RTX 3070 Laptop GPU",
        "NVIDIA GeForce RTX 2070 with Max-Q Design",
        "NVIDIA GeForce RTX 2060",  # two cards of that name, and no memory to tell them by
        "NVIDIA GeForce RTX 2070 SUPER",
        "NVIDIA H200 NVL",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "Intel(R) Core(TM) i7-10750H CPU @ 2.60GHz",
    ],
)
def test_a_name_that_only_begins_like_a_known_cards_has_no_peak(name: str | None) -> None:
    assert card_of(name) is None


def test_what_a_card_lacks_is_left_out() -> None:
    turing, pascal = card_of("Tesla T4"), card_of("Tesla P100-PCIE-16GB")
    assert turing is not None
    assert pascal is not None
    assert turing.peak("tf32") is turing.peak("mixed_bfloat16") is None
    assert pascal.peak("float32") == 9.3e12
    assert pascal.peak("mixed_float16") is None
    assert turing.peak("no-such-precision") is None


def test_the_peaks_are_dense_ordered_and_say_where_they_are_from() -> None:
    known = cards()
    names = [name for card in known for name in card.names]
    assert len(names) == len(set(names))
    for card in known:
        assert card.source.startswith(("NVIDIA", "SMs"))
        assert card.float32 is not None
        if card.tf32 is not None:
            assert card.float16 is not None
            assert card.float32 <= card.tf32
            # Tensor cores do half as much in TF32; twice that would be a figure with sparsity.
            assert card.float16 == pytest.approx(2 * card.tf32, rel=0.02)
            assert card.bfloat16 == card.float16
        else:
            assert card.bfloat16 is None
