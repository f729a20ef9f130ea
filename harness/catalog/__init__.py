"""What the harness knows by name, as TOML data with one loader each."""

from harness.catalog.baselines import Baseline, Figure, baselines
from harness.catalog.datasets import DatasetEntry, FileEntry, Slice, datasets
from harness.catalog.images import BuildEntry, ImageEntry, default_image, images
from harness.catalog.models import ModelEntry, WeightsFile, models, weights_files
from harness.catalog.protocols import Protocol, protocols

__all__ = [
    "Baseline",
    "BuildEntry",
    "DatasetEntry",
    "Figure",
    "FileEntry",
    "ImageEntry",
    "ModelEntry",
    "Protocol",
    "Slice",
    "WeightsFile",
    "baselines",
    "datasets",
    "default_image",
    "images",
    "models",
    "protocols",
    "weights_files",
]
