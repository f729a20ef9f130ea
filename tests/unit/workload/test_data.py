"""Images from files and made up."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")

from harness.workload import data  # noqa: E402
from harness.workload.spec import Dataset, Part  # noqa: E402


def write_idx(path: Path, array: Any) -> str:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
    return path.name


def dataset(folder: Path, count: int = 12) -> Dataset:
    images = np.arange(count * 28 * 28, dtype=np.uint32).reshape(count, 28, 28).astype(np.uint8)
    labels = np.arange(count, dtype=np.uint8) % 10
    names = write_idx(folder / "i.gz", images), write_idx(folder / "l.gz", labels)
    return Dataset("d", False, None, Part(*names, 0, 10), Part(*names, 10, 2))


def test_slices_of_the_files(tmp_path: Path) -> None:
    made = dataset(tmp_path)
    images, labels = data.load(made, made.test, str(tmp_path))
    assert images.shape == (2, 32, 32, 3)
    assert images.dtype == labels.dtype == np.float32
    assert labels.argmax(axis=1).tolist() == [0, 1]
    assert labels.sum(axis=1).tolist() == [1, 1]
    whole, _ = data.load(made, Part("i.gz", "l.gz", 0, 12), str(tmp_path))
    assert (whole[10:] == images).all()


def test_a_slice_beyond_the_file_is_refused(tmp_path: Path) -> None:
    made = dataset(tmp_path)
    with pytest.raises(data.DataError, match="holds 12 items, the spec wants 13"):
        data.load(made, Part("i.gz", "l.gz", 3, 10), str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\0\0\x0d\1abcd", b"\0\0\x08\3", b"\0\0\x08\1\0\0\0\4a"])
def test_what_is_no_idx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(data.DataError):
        data.read_idx(str(path))


def test_a_label_beyond_the_classes_is_refused() -> None:
    with pytest.raises(data.DataError, match="label 10"):
        data.one_hot(np.array([1, 10], np.uint8))


def test_resizing_by_hand() -> None:
    """Row 0 lies above the first source row; row 1 lies 0.3125 of the way from row 0 to row 1..."""
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 0] = 255
    grey = data.preprocess(image)[0, :, 0, 0]
    assert grey[0] == 1.0
    assert grey[1] == pytest.approx(1 - (1.5 * 28 / 32 - 0.5))
    assert grey[2] == 0.0


def test_chunks_do_not_show() -> None:
    images, _ = data.synthetic(3, 0, data.CHUNK + 1)
    assert (data.preprocess(images)[-1] == data.preprocess(images[-1:])[0]).all()


def test_values_lie_between_0_and_1_in_equal_channels() -> None:
    images, _ = data.synthetic(3, 0, 50)
    result = data.preprocess(images)
    assert result.min() >= 0
    assert result.max() <= 1
    assert (result[..., :1] == result).all()


def test_synthetic_data_depends_on_the_seed_alone() -> None:
    part = Part(None, None, 0, 20)
    one = data.load(Dataset("one", True, 5, part, Part(None, None, 0, 20)), part, "")
    two = data.load(Dataset("two", True, 5, part, Part(None, None, 0, 20)), part, "/x")
    other = data.load(Dataset("one", True, 6, part, Part(None, None, 0, 20)), part, "")
    assert (one[0] == two[0]).all()
    assert (one[1] == two[1]).all()
    assert (one[0] != other[0]).any()


def test_synthetic_training_and_test_data_differ_but_share_their_classes() -> None:
    """The mean image of each class, learnt from the training part, tells the test part's."""
    train, train_labels = data.synthetic(5, 0, 500)
    test, test_labels = data.synthetic(5, 1, 100)
    assert (train[:100] != test).any()
    means = np.stack([train[train_labels == c].mean(axis=0) for c in range(10)])
    distance = ((test[:, None].astype(float) - means[None]) ** 2).sum(axis=(2, 3))
    assert (distance.argmin(axis=1) == test_labels).mean() > 0.95


def test_orders_hold_each_image_once_and_change_with_epoch_and_seed() -> None:
    orders = [data.order(1, 0, 100), data.order(1, 1, 100), data.order(2, 0, 100)]
    assert all((np.sort(order) == np.arange(100)).all() for order in orders)
    assert (orders[0] != orders[1]).any()
    assert (orders[0] != orders[2]).any()
    assert (orders[0] == data.order(1, 0, 100)).all()
