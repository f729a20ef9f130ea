"""The values that travel through the harness. All frozen, none does I/O.

Times are seconds, sizes bytes, rates images per second; what is not known is None.
"""

from harness.model.base import SCHEMA_VERSION, Frozen
from harness.model.case import (
    Case,
    DatasetIdentity,
    Device,
    ImageIdentity,
    LaunchSpec,
    Limits,
    PlannedCase,
    Status,
    as_expected,
)
from harness.model.events import Exit, MemoryEvent, MemoryKind, ResourceEvent
from harness.model.record import Disturbed, Memory, Record, Telemetry, Timing

__all__ = [
    "SCHEMA_VERSION",
    "Case",
    "DatasetIdentity",
    "Device",
    "Disturbed",
    "Exit",
    "Frozen",
    "ImageIdentity",
    "LaunchSpec",
    "Limits",
    "Memory",
    "MemoryEvent",
    "MemoryKind",
    "PlannedCase",
    "Record",
    "ResourceEvent",
    "Status",
    "Telemetry",
    "Timing",
    "as_expected",
]
