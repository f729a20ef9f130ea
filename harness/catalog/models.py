"""The models that can be trained, and the weight files they may start from."""

from __future__ import annotations

from functools import cache

from harness.catalog.toml import shipped
from harness.model import Frozen


class ModelEntry(Frozen):
    """`parameters` is the count every build is checked against.

    `forward_flops` and `training_flops` are what one image costs in a forward pass and in a
    training step (forward and backward, without the update of the weights); a multiply-add counts
    as two. `flops_source` is who counted them and how.
    """

    about: str
    weights_files: tuple[str, ...]
    parameters: int
    forward_flops: int
    training_flops: int
    flops_source: str


class WeightsFile(Frozen):
    """A file of keras.applications and the MD5 that Keras checks it by."""

    file: str
    md5: str


@cache
def models() -> dict[str, ModelEntry]:
    return {name: ModelEntry(**entry) for name, entry in shipped("models.toml").items()}


@cache
def weights_files() -> dict[str, WeightsFile]:
    return {name: WeightsFile(**entry) for name, entry in shipped("weights.toml").items()}
