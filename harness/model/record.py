"""The result of one attempt."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

from pydantic import Field

from harness.model.base import SCHEMA_VERSION, Frozen
from harness.model.case import Case, DatasetIdentity, Device, ImageIdentity, Status
from harness.model.events import Exit


class Timing(Frozen):
    """Seconds; docs/protocols.md says what each holds.

    `input_ratio` is the time of a training step on data already on the device over that of an
    ordinary one: 1 where fetching data costs nothing. `predicted` names the fields that were not
    measured whole, `intervals` what is known of a field's error (the range of its pairs, of the
    ratio), `weak` those whose interval rests on
    few blocks. `steady` is False where a GPU's clock or temperature was still changing, and None
    where nobody looked.
    """

    total_execution_s: float | None = None
    train_s: float | None = None
    validation_s: float | None = None
    checkpoint_s: float | None = None
    startup_s: float | None = None
    first_step_s: float | None = None
    total_inference_s: float | None = None
    model_load_s: float | None = None
    predict_s: float | None = None
    images_per_s: float | None = None
    input_ratio: float | None = None
    predicted: tuple[str, ...] = ()
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    blocks: dict[str, int] = Field(default_factory=dict)
    steady: bool | None = None
    weak: tuple[str, ...] = ()


class Memory(Frozen):
    """What memory was asked for and used, in bytes.

    Peaks by who counted: `peak_device_bytes` the framework's allocator, `peak_device_used_bytes`
    NVML for the whole card (whatever else is on it included), `peak_device_processes_bytes` NVML
    for the case's own processes, `peak_host_bytes` the larger phase's process of itself (resident),
    `peak_cgroup_bytes` the kernel for the whole container (page cache included),
    `peak_processes_bytes` the resident memory of all its processes together, where no container
    is. `sampled` names those that are the most of what was seen twice a second: shorter peaks are
    missed.
    """

    pressure_events: int = 0
    largest_request_bytes: int | None = None
    peak_device_bytes: int | None = None
    peak_host_bytes: int | None = None
    peak_device_used_bytes: int | None = None
    peak_device_processes_bytes: int | None = None
    peak_cgroup_bytes: int | None = None
    peak_processes_bytes: int | None = None
    sampled: tuple[str, ...] = ()


class Telemetry(Frozen):
    """What the samples of telemetry.csv come to.

    Of the card, medians under load, which is where it computed at all; but `utilisation` is its
    mean over everything, `busy` the mean over the training blocks, from 0 to 1. `energy_j` is what
    it drew during the training blocks, in which it trained `energy_images`; by its own counter or
    by its power over time, as `energy_by` says. `cpu`, `other_cpu` (neither the case nor the
    harness) and `steal` are mean shares of all of the host's threads.
    `throttled` is the share of a quota's periods in which it held the case back.
    """

    samples: int
    seconds: float
    utilisation: float | None = None
    busy: float | None = None
    memory_utilisation: float | None = None
    memory_used_peak: int | None = None
    power_w: float | None = None
    temperature_c_peak: int | None = None
    sm_mhz: float | None = None
    sm_mhz_lowest: int | None = None
    memory_mhz: float | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    energy_j: float | None = None
    energy_by: str | None = None
    energy_images: int | None = None
    card_lost: bool = False
    cpu: float | None = None
    other_cpu: float | None = None
    steal: float | None = None
    throttled: float | None = None
    host_memory_used_peak: int | None = None


class Disturbed(str, Enum):
    """Whether something else than the case used what it ran on."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Record(Frozen):
    """The result of one attempt: one line of records.jsonl.

    `same_as` names the case whose measurement it shares, `beside` the cases that were measured on
    other devices of the machine meanwhile. `transient`: an infrastructure fault that may pass.
    `resource` names what it lacked other than memory, such as ``disk`` or ``gpu-lost``. `purpose`
    is ``fit`` where a batch size was tried out, and nothing was measured that compares.

    Two answers of telemetry: `disturbed` with its reasons in `disturbed_by` (by what, or what could
    not be seen), and `limited_by`, the share of the time under load that each thing held the card's
    clocks down; None where it does not say. The first spoils a result, the second is one.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    purpose: str = "measure"
    case_id: str
    case_key: str
    software_key: str | None
    repeat: int
    attempt: int
    same_as: str | None = None
    beside: tuple[str, ...] = ()
    transient: bool = False
    status: Status
    reason: str
    resource: str | None = None
    case: Case
    image: ImageIdentity
    dataset: DatasetIdentity
    device: Device
    timing: Timing
    memory: Memory
    telemetry: Telemetry | None = None
    disturbed: Disturbed = Disturbed.UNKNOWN
    disturbed_by: tuple[str, ...] = ()
    limited_by: dict[str, float] | None = None
    exit: Exit
    runtime: str
    machine: str
    versions: dict[str, Any]
    started_at: str
    finished_at: str

    @property
    def wall_s(self) -> float | None:
        """Seconds that the attempt took in all; None where the record does not say when it was."""
        try:
            began, ended = map(datetime.fromisoformat, (self.started_at, self.finished_at))
            return (ended - began).total_seconds()
        except (ValueError, TypeError):  # no time at all, or one of them without its zone
            return None
