"""How fast a training computed, what share of the card's peak that is, and what held it back. Pure.

FLOP/s are those the model's arithmetic asks for (the catalog's count), not what the card executed:
an algorithm that needs fewer multiplications, such as Winograd's, counts as if it needed all.
The limits below follow from what NVML's figures mean; none has been tried on a GPU.
"""

from __future__ import annotations

from harness.analysis.disturbance import FEWEST
from harness.analysis.fit import PURPOSE
from harness.analysis.input_cost import waits_for_data
from harness.analysis.warnings import MUCH_OF_IT
from harness.catalog import card_of, models
from harness.model import Disturbed, Record, Telemetry

BUSY_BELOW = 0.80
"""Share of the training in which the card ran anything at all, below which the host starts work too
slowly: without the gaps it would be over a quarter faster. NVML counts one small kernel at work as
busy, so that the card is idle for at least the rest."""

MEMORY_ABOVE = 0.75
"""Share of the time in which the card's memory was read or written, above which it decides: if all
else took no time, the training would be less than a third faster."""


def achieved_flops(record: Record) -> float | None:
    """FLOP/s of the training, from its images per second; the update of the weights is not in it.

    None where it was not measured or did not complete, or where the model is not in the catalog.
    """
    model = models().get(record.case.model)
    rate = record.timing.images_per_s
    if model is None or rate is None or not _stands(record):
        return None
    return rate * model.training_flops


def share_of_peak(record: Record) -> float | None:
    """FLOP/s over those that the card could do at most in the case's precision, 1 being all.

    None where either is unknown; a processor's peak is never known.
    """
    achieved = achieved_flops(record)
    if achieved is None or record.device.kind != "gpu":
        return None
    card = card_of(record.device.name)
    peak = card.peak(record.case.precision) if card else None
    return achieved / peak if peak else None


def bottleneck(record: Record) -> str | None:
    """``thermal``, ``input``, ``launch``, ``memory`` or ``compute``; None where nothing tells.

    The first that applies, as docs/telemetry.md has it. Nothing is concluded from a figure's
    absence, and nothing from a training that something else disturbed.
    """
    if not _stands(record) or record.disturbed is Disturbed.YES:
        return None
    if record.device.kind == "cpu":
        return _of_a_processor(record)
    if record.device.kind != "gpu":
        return None
    return _of_a_card(record)


def _stands(record: Record) -> bool:
    return record.status.completed and record.purpose != PURPOSE


def _of_a_processor(record: Record) -> str | None:
    return {True: "input", False: "compute", None: None}[waits_for_data(record.timing)]


def _of_a_card(record: Record) -> str | None:
    seen = _seen(record)
    if seen is not None and (record.limited_by or {}).get("thermal", 0.0) > MUCH_OF_IT:
        return "thermal"
    waits = waits_for_data(record.timing)
    if waits:
        return "input"
    if seen is None or seen.busy is None:
        return None
    if seen.busy < BUSY_BELOW:
        # The gaps may be waits for data.
        return None if waits is None else "launch"
    if record.limited_by is None or seen.memory_utilisation is None:
        return None
    return "memory" if seen.memory_utilisation > MEMORY_ABOVE else "compute"


def _seen(record: Record) -> Telemetry | None:
    """The samples' sum, where there are enough to say anything."""
    seen = record.telemetry
    return seen if seen is not None and seen.samples >= FEWEST else None
