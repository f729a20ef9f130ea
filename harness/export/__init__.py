"""A matrix as files that other systems start: SkyPilot on rented GPUs, Kubernetes in a cluster."""

from harness.export.kubernetes import Cluster, jobs
from harness.export.skypilot import Rental, Task, tasks
from harness.export.source import Source, source
from harness.export.writing import write_file, write_folder

__all__ = [
    "Cluster",
    "Rental",
    "Source",
    "Task",
    "jobs",
    "source",
    "tasks",
    "write_file",
    "write_folder",
]
