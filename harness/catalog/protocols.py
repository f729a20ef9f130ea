"""What is trained: epochs, batch per model, checkpointing."""

from __future__ import annotations

from functools import cache

from harness.catalog.toml import shipped
from harness.model import Frozen


class Protocol(Frozen):
    """`train_images` and `test_images` cut the data short; 0 takes all of it."""

    about: str
    epochs: int
    precision: str
    jit: bool
    checkpoint: str
    inference_batch_size: int
    train_images: int
    test_images: int
    batch_size: dict[str, int]


@cache
def protocols() -> dict[str, Protocol]:
    return {name: Protocol(**entry) for name, entry in shipped("protocols.toml").items()}
