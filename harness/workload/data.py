"""The images: read from IDX files or made up, and turned into what the models take.

Every array comes from arithmetic that numpy keeps stable (element by element, and the legacy
``RandomState``, whose streams are frozen), so all frameworks and versions get the same bits.
"""

from __future__ import annotations

import gzip
import os
import struct
from typing import Tuple

import numpy as np

from . import contract
from .backend import Array
from .spec import Dataset, Part

RAW_SIDE = 28
"""Height and width of the images in the files."""
CHUNK = 1000
"""Images resized at once: keeps the temporary arrays small beside the result."""

_IDX_BYTES = 0x08


class DataError(ValueError):
    """A dataset file is not what the spec says."""


def load(dataset: Dataset, part: Part, folder: str) -> Tuple[Array, Array]:
    """The images and labels of one part, ready for a model.

    Returns:
        float32 [count, 32, 32, 3] in [0, 1] and one-hot float32 [count, 10].
    """
    if dataset.synthetic:
        stream = 0 if part is dataset.train else 1
        images, labels = synthetic(dataset.seed or 0, stream, part.count)
    else:
        rows = slice(part.first, part.first + part.count)
        images = _slice(os.path.join(folder, part.images or ""), rows, (RAW_SIDE, RAW_SIDE))
        labels = _slice(os.path.join(folder, part.labels or ""), rows, ())
    return preprocess(images), one_hot(labels)


def read_idx(path: str) -> Array:
    """The array of unsigned bytes in a gzipped IDX file.

    The format: two zero bytes, a type code, the number of dimensions, each dimension as a
    big-endian 32-bit integer, then the values (http://yann.lecun.com/exdb/mnist/).

    Raises:
        DataError: the file is no such file.
    """
    with gzip.open(path, "rb") as file:
        content = file.read()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _IDX_BYTES:
        raise DataError("%s is not an IDX file of unsigned bytes" % path)
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError("%s ends within its header" % path)
    shape = struct.unpack(">%dI" % content[3], content[4:start])
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != int(np.prod(shape)):
        raise DataError("%s: %d values do not fill %s" % (path, values.size, shape))
    return values.reshape(shape)


def synthetic(seed: int, stream: int, count: int) -> Tuple[Array, Array]:
    """Images that can be learnt: a smooth template for each class, with noise over it.

    The templates depend on `seed` alone, so training and test (`stream` 0 and 1) share them.

    Returns:
        uint8 [count, 28, 28] and uint8 [count].
    """
    coarse = np.random.RandomState([seed]).rand(contract.CLASSES, 4, 4)
    templates = np.kron(coarse, np.ones((1, RAW_SIDE // 4, RAW_SIDE // 4))) * 160
    random = np.random.RandomState([seed, stream])
    labels = random.randint(0, contract.CLASSES, count).astype(np.uint8)
    noise = np.frombuffer(random.bytes(count * RAW_SIDE * RAW_SIDE), np.uint8)
    images = noise.reshape(count, RAW_SIDE, RAW_SIDE) // 4
    images += templates.astype(np.uint8)[labels]
    return images, labels


def preprocess(images: Array) -> Array:
    """Grey bytes [n, 28, 28] as the study fed them: float32 [n, 32, 32, 3] in [0, 1].

    Bilinear, pixel centres at half-integers, edges repeated, no anti-aliasing: what
    ``tf.image.resize`` does by default.
    """
    side = contract.IMAGE_SIDE
    result: Array = np.empty((len(images), side, side, contract.CHANNELS), np.float32)
    lower, upper, weight = _interpolation(images.shape[1], side)
    across = weight[np.newaxis, np.newaxis, :]
    down = weight[np.newaxis, :, np.newaxis]
    for first in range(0, len(images), CHUNK):
        grey = images[first : first + CHUNK].astype(np.float32) / np.float32(255)
        grey = grey[:, lower, :] + (grey[:, upper, :] - grey[:, lower, :]) * down
        grey = grey[:, :, lower] + (grey[:, :, upper] - grey[:, :, lower]) * across
        result[first : first + CHUNK] = grey[..., np.newaxis]
    return result


def _interpolation(source: int, target: int) -> Tuple[Array, Array, Array]:
    """For each of `target` pixels: its two neighbours among `source`, and the second's weight."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    floor = np.floor(position)
    lower = np.clip(floor, 0, source - 1).astype(np.intp)
    upper = np.clip(floor + 1, 0, source - 1).astype(np.intp)
    return lower, upper, (position - floor).astype(np.float32)


def one_hot(labels: Array) -> Array:
    """Class numbers [n] as float32 [n, 10]."""
    if labels.size and labels.max() >= contract.CLASSES:
        raise DataError("there is a label %d among %d classes" % (labels.max(), contract.CLASSES))
    result: Array = np.zeros((len(labels), contract.CLASSES), np.float32)
    result[np.arange(len(labels)), labels] = 1
    return result


def order(seed: int, epoch: int, count: int) -> Array:
    """A full shuffle of ``range(count)``, int64, new for each epoch."""
    return np.random.RandomState([seed, epoch]).permutation(count).astype(np.int64)


def _slice(path: str, rows: slice, item_shape: Tuple[int, ...]) -> Array:
    array = read_idx(path)
    if array.shape[1:] != item_shape:
        raise DataError("%s holds items of shape %s" % (path, array.shape[1:]))
    if len(array) < rows.stop:
        raise DataError("%s holds %d items, the spec wants %d" % (path, len(array), rows.stop))
    return array[rows]
