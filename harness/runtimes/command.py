"""The workload's command line and the environment that every runtime gives it."""

from __future__ import annotations

from harness.model import Device

SPEC_FILE = "spec.json"

WORKLOAD, OUT, DATA, WEIGHTS = (
    f"/harness/{name}" for name in ("workload", "out", "data", "weights")
)
"""Where a container has its folders."""


def arguments(python: str, workload: str, out: str, data: str, weights: str | None) -> list[str]:
    """The command as a list; the folders are as the workload sees them."""
    line = [python, workload, "--spec", f"{out}/{SPEC_FILE}", "--data", data, "--out", out]
    return line + (["--weights", weights] if weights is not None else [])


def environment(device: Device, scratch: str) -> dict[str, str]:
    """What makes a run quiet, writable where it must be, and bound to its device.

    TF_CPP_MIN_LOG_LEVEL is set to 0 because an image may have raised it, which would hide the
    allocator's messages.
    """
    shown = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if device.kind == "cpu":
        shown["CUDA_VISIBLE_DEVICES"] = "-1"
    return {
        "HOME": scratch,
        "XDG_CACHE_HOME": f"{scratch}/.cache",
        "MPLCONFIGDIR": f"{scratch}/.cache/matplotlib",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "0",
        **shown,
    }


def visible(device: Device) -> dict[str, str]:
    """Names the GPU by its UUID to a case that is shown every GPU of the machine.

    An AMD card without an id, which goes by its PCI address, cannot be named to ROCm.
    """
    if device.kind != "gpu" or device.uuid is None or device.uuid.startswith("PCI-"):
        return {}
    name = "ROCR_VISIBLE_DEVICES" if device.vendor == "amd" else "CUDA_VISIBLE_DEVICES"
    return {name: device.uuid}
