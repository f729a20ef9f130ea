"""What the backends tell of themselves and do when asked, on top of the frameworks' fakes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from tests.unit.workload.fakes import BATCH, Device, backend_on_fakes

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


# ------------------------------------------------------------------ PyTorch's compiler


def keras_model(ran: list[str]) -> Any:
    """A model that calls itself as Keras does: by whatever its `call` is at the time."""
    made = MagicMock(is_compiled_by_torch=False)
    made.call = lambda x, training: ran.append("the model")
    made.side_effect = lambda x, training: made.call(x, training=training)
    made.train_step = made.test_step = lambda batch: made(batch[0], training=True)
    return made


@pytest.mark.parametrize("jit", [True, False])
def test_jit_compiles_each_models_forward_pass_once_on_pytorch(jit: bool) -> None:
    ran: list[str] = []

    def compiler(call: Any) -> Any:
        def compiled(x: Any, training: bool) -> None:
            ran.append("what was compiled of")
            call(x, training=training)

        return compiled

    images, labels = np.zeros((BATCH, 2), np.float32), np.zeros((BATCH, 10), np.float32)
    trained, loaded = keras_model(ran), keras_model(ran)
    with backend_on_fakes("torch", Device()) as backend:
        import torch

        torch.compile = MagicMock(side_effect=compiler)
        for made in (
            lambda: backend.trainer(trained, (images, labels), BATCH, 0, jit),
            lambda: backend.validator(trained, (images, labels), BATCH, jit),
            lambda: backend.predictor(loaded, images, BATCH, jit),
        ):
            stepper = made()
            stepper.begin(0)
            stepper.run(1)
        assert torch.compile.call_count == (2 if jit else 0)
        assert backend.effective(jit)["jit"] is jit
    assert ran == (["what was compiled of", "the model"] if jit else ["the model"]) * 3
