"""What the harness knows by name, as TOML data with one loader each."""

from harness.catalog.baselines import Baseline, Figure, baselines
from harness.catalog.cards import Card, card_of, cards
from harness.catalog.datasets import DatasetEntry, FileEntry, Slice, datasets
from harness.catalog.images import (
    BuildEntry,
    ImageEntry,
    Pinned,
    base_of,
    bases,
    default_image,
    images,
)
from harness.catalog.models import ModelEntry, WeightsFile, models, weights_files
from harness.catalog.protocols import Protocol, protocols

__all__ = [
    "Baseline",
    "BuildEntry",
    "Card",
    "DatasetEntry",
    "Figure",
    "FileEntry",
    "ImageEntry",
    "ModelEntry",
    "Pinned",
    "Protocol",
    "Slice",
    "WeightsFile",
    "base_of",
    "baselines",
    "bases",
    "card_of",
    "cards",
    "datasets",
    "default_image",
    "images",
    "models",
    "protocols",
    "weights_files",
]
