"""What the backends tell of themselves and do when asked, on top of the frameworks' fakes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.workload.fakes import Device, backend_on_fakes

GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"


@pytest.fixture
def tensorflow() -> Iterator[tuple[Any, Any]]:
    """The backend, and the fake beneath it."""
    with backend_on_fakes("tensorflow", Device()) as backend:
        os.environ.pop(GROWTH, None)
        import tensorflow

        yield backend, tensorflow.config


@pytest.mark.parametrize(
    ("variable", "setting", "grows"),
    [
        (None, None, False),
        (None, True, True),
        ("true", None, True),
        ("false", None, False),
        ("false", True, False),
        ("1", None, False),  # ignored by TensorFlow, with an error in the log
        ("1", True, True),
    ],
)
def test_tensorflow_tells_whether_its_memory_really_grows(
    tensorflow: Any, variable: str | None, setting: bool | None, grows: bool
) -> None:
    backend, config = tensorflow
    config.experimental.get_memory_growth.return_value = setting
    if variable is not None:
        os.environ[GROWTH] = variable
    assert backend.effective(False)["memory_growth"] is grows


def test_no_memory_grows_where_no_gpu_is_used(tensorflow: Any) -> None:
    backend, config = tensorflow
    config.get_visible_devices.return_value = []
    os.environ[GROWTH] = "true"
    assert backend.effective(False)["memory_growth"] is False
