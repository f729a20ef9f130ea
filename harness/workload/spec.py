"""``spec.json`` as frozen values. Standard library alone: refused before Keras is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence

from . import contract

SEED_LIMIT = 2**32
"""Seeds lie below it: numpy's and Keras's generators take 32 bits."""


class SpecError(ValueError):
    """The spec asks for something that this workload does not understand."""


@dataclass(frozen=True)
class Part:
    """A slice ``[first, first + count)`` of one IDX file pair; the names are None if synthetic."""

    images: Optional[str]
    labels: Optional[str]
    first: int
    count: int


@dataclass(frozen=True)
class Dataset:
    """Training and test images, from files or made up from `seed`."""

    name: str
    synthetic: bool
    seed: Optional[int]
    train: Part
    test: Part


@dataclass(frozen=True)
class Protocol:
    """What is run: how many epochs, what is saved meanwhile, the batch of the inference."""

    name: str
    epochs: int
    checkpoint: str
    inference_batch_size: int


@dataclass(frozen=True)
class Spec:
    """One case, as the host asks for it.

    `budget_s` is how long ``quick`` may measure training steps; None leaves it to the workload.
    `device_memory_bytes` is how much of a GPU's memory it may take; None leaves it all.
    """

    case_id: str
    framework: str
    model: str
    parameters: Optional[int]
    weights: str
    weights_files: Mapping[str, str]
    dataset: Dataset
    batch_size: int
    precision: str
    jit: bool
    deterministic: bool
    seed: int
    measure: str
    budget_s: Optional[float]
    protocol: Protocol
    device: str
    device_memory_bytes: Optional[int]


class _Fields:
    """Takes the fields of a JSON object one by one and refuses what is missing, wrong or left."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise SpecError("%s is not an object: %r" % (where, value))
        self._left: Dict[str, Any] = dict(value)
        self._where = where

    def _take(self, name: str) -> Any:
        try:
            return self._left.pop(name)
        except KeyError:
            raise SpecError("%s lacks %r" % (self._where, name)) from None

    def _refuse(self, name: str, value: Any, wanted: str) -> SpecError:
        return SpecError("%s: %r must be %s, not %r" % (self._where, name, wanted, value))

    def text(self, name: str, choices: Sequence[str] = ()) -> str:
        value = self._take(name)
        if not isinstance(value, str):
            raise self._refuse(name, value, "a string")
        if choices and value not in choices:
            raise self._refuse(name, value, "one of " + ", ".join(choices))
        return value

    def file_name(self, name: str) -> str:
        """A name without folders: the folder is an argument and differs among runtimes."""
        value = self.text(name)
        if not value or "/" in value or value in (".", ".."):
            raise self._refuse(name, value, "a bare file name")
        return value

    def integer(self, name: str, least: int = 0, limit: Optional[int] = None) -> int:
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self._refuse(name, value, "an integer of at least %d" % least)
        if limit is not None and value >= limit:
            raise self._refuse(name, value, "below %d" % limit)
        return value

    def seconds(self, name: str) -> float:
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise self._refuse(name, value, "a number of seconds")
        return float(value)

    def flag(self, name: str) -> bool:
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._refuse(name, value, "true or false")
        return value

    def absent(self, name: str) -> bool:
        """Whether the field is null; it is taken then."""
        if self._left.get(name, 0) is not None:
            return False
        del self._left[name]
        return True

    def inner(self, name: str) -> _Fields:
        return _Fields(self._take(name), "%s.%s" % (self._where, name))

    def names(self) -> Sequence[str]:
        return tuple(self._left)

    def close(self) -> None:
        if self._left:
            raise SpecError("%s has unknown fields: %s" % (self._where, ", ".join(self._left)))


def parse(document: Any) -> Spec:
    """The spec in a decoded JSON document.

    Raises:
        SpecError: another contract version, or a field that is missing, unknown or wrong.
    """
    fields = _Fields(document, "spec")
    version = fields.integer("contract")
    if version != contract.CONTRACT_VERSION:
        raise SpecError(
            "the spec follows contract version %d, this workload knows version %d: "
            "host and workload must come from one release" % (version, contract.CONTRACT_VERSION)
        )
    spec = Spec(
        case_id=fields.text("case_id"),
        framework=fields.text("framework", contract.FRAMEWORKS),
        model=fields.text("model", contract.MODELS),
        parameters=None if fields.absent("parameters") else fields.integer("parameters", 1),
        weights=fields.text("weights", contract.WEIGHTS),
        weights_files=_weights_files(fields),
        dataset=_dataset(fields.inner("dataset")),
        batch_size=fields.integer("batch_size", 1),
        precision=fields.text("precision", contract.PRECISIONS),
        jit=fields.flag("jit"),
        deterministic=fields.flag("deterministic"),
        seed=fields.integer("seed", limit=SEED_LIMIT),
        measure=fields.text("measure", (*contract.MEASURES, contract.FIT)),
        budget_s=None if fields.absent("budget_s") else fields.seconds("budget_s"),
        protocol=_protocol(fields.inner("protocol")),
        device=fields.text("device", contract.DEVICES),
        device_memory_bytes=(
            None
            if fields.absent("device_memory_bytes")
            else fields.integer("device_memory_bytes", 1)
        ),
    )
    fields.close()
    return spec


def read(path: str) -> Spec:
    """The spec in a file.

    Raises:
        SpecError: it cannot be read, is no JSON, or is refused by `parse`.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return parse(json.load(file))
    except OSError as error:
        raise SpecError("cannot read the spec: %s" % error) from error
    except json.JSONDecodeError as error:
        raise SpecError("%s is not JSON: %s" % (path, error)) from error


def _weights_files(fields: _Fields) -> Mapping[str, str]:
    if fields.absent("weights_files"):
        return {}
    inner = fields.inner("weights_files")
    return {name: inner.file_name(name) for name in inner.names()}


def _dataset(fields: _Fields) -> Dataset:
    synthetic = fields.flag("synthetic")
    dataset = Dataset(
        name=fields.text("name"),
        synthetic=synthetic,
        seed=None if fields.absent("seed") else fields.integer("seed", limit=SEED_LIMIT),
        train=_part(fields.inner("train"), synthetic),
        test=_part(fields.inner("test"), synthetic),
    )
    if synthetic and dataset.seed is None:
        raise SpecError("a synthetic dataset needs a seed")
    fields.close()
    return dataset


def _part(fields: _Fields, synthetic: bool) -> Part:
    def name(field: str) -> Optional[str]:
        return None if synthetic and fields.absent(field) else fields.file_name(field)

    part = Part(
        images=name("images"),
        labels=name("labels"),
        first=fields.integer("first"),
        count=fields.integer("count", 1),
    )
    fields.close()
    return part


def _protocol(fields: _Fields) -> Protocol:
    protocol = Protocol(
        name=fields.text("name"),
        epochs=fields.integer("epochs", 1),
        checkpoint=fields.text("checkpoint", contract.CHECKPOINTS),
        inference_batch_size=fields.integer("inference_batch_size", 1),
    )
    fields.close()
    return protocol
