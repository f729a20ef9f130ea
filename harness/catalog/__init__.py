"""What the harness knows by name: models, protocols, datasets, images. Data in TOML, one loader."""

from harness.catalog.datasets import DatasetEntry, FileEntry, Slice, datasets
from harness.catalog.images import BuildEntry, ImageEntry, default_image, images
from harness.catalog.models import ModelEntry, WeightsFile, models, weights_files
from harness.catalog.protocols import Protocol, protocols

__all__ = [
    "BuildEntry",
    "DatasetEntry",
    "FileEntry",
    "ImageEntry",
    "ModelEntry",
    "Protocol",
    "Slice",
    "WeightsFile",
    "datasets",
    "default_image",
    "images",
    "models",
    "protocols",
    "weights_files",
]
