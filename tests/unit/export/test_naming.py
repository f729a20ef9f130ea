"""Names that Kubernetes takes, whatever a case is called."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from harness.export.naming import LONGEST, dns_name

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@given(st.text(max_size=200), st.text(max_size=20))
def test_every_name_is_a_dns_label(text: str, salt: str) -> None:
    name = dns_name(text, salt)
    assert len(name) <= LONGEST
    assert LABEL.fullmatch(name)
    assert name == dns_name(text, salt)


@given(st.lists(st.text(max_size=100), unique=True, max_size=20))
def test_two_texts_have_two_names(texts: list[str]) -> None:
    assert len({dns_name(text) for text in texts}) == len(texts)


def test_what_is_cut_off_or_lost_still_makes_a_difference() -> None:
    long = "model-a_mnist_tensorflow_reference_b64_mixed-bfloat16_quick_jit_deterministic"
    assert dns_name(long + "_x1") != dns_name(long + "_x2")
    assert dns_name("a_b") != dns_name("a-b") != dns_name("A-b")
    assert dns_name("a", "one matrix") != dns_name("a", "another")


def test_a_name_is_readable() -> None:
    assert re.fullmatch(r"harness-model-a-mnist-b64-[0-9a-f]{8}", dns_name("model-a_mnist_b64"))
