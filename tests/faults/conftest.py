"""The engine and images of the integration tests."""

from tests.integration.conftest import as_root, engine, image_ids, small_disk

__all__ = ["as_root", "engine", "image_ids", "small_disk"]
