"""One start of the probe in an image: under our own safety options, or with one of them relaxed."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from harness.images.probe.__main__ import BEGIN
from harness.model import Device, LaunchSpec
from harness.runtimes.command import SPEC_FILE
from harness.runtimes.docker import DockerRuntime
from harness.runtimes.engine import ENGINE_ERRORS, explain
from harness.workload import contract

PROBE = Path(__file__).with_name("probe")
WORKLOAD = Path(contract.__file__).parent
LIMIT_S = 900
"""How long a container may take: three frameworks that are imported from a slow disk."""

Options = Mapping[str, Any]
Relax = Callable[[Options], Options]
"""From the options of a case to those that take their place."""


def strictly(options: Options) -> Options:
    """Nothing takes their place."""
    del options
    return {}


@dataclass(frozen=True)
class Trial:
    """What came of one start.

    `before` is what was printed before the probe began, by the image's entrypoint; `found` what the
    probe wrote down, None where it did not come so far; `refused` why the engine did not start it.
    """

    code: int | None = None
    before: str = ""
    output: str = ""
    found: Mapping[str, Any] | None = None
    refused: str = ""


def probe_spec(image: str, device: Device, out: Path) -> LaunchSpec:
    """The probe where a case has the workload, and the workload where it has the data.

    `out` is in the check's folder, which the check holds: so `harness clean` finds what a check
    that was killed left, and spares the one at work.
    """
    return LaunchSpec(
        workload=PROBE,
        out=out,
        data=WORKLOAD,
        weights=None,
        device=device,
        image=image,
        env={},
        memory_limit=None,
        labels={"harness.run": "check", "harness.folder": str(out.parent)},
    )


def run(
    runtime: DockerRuntime, image: str, device: Device, folder: Path, relax: Relax = strictly
) -> Trial:
    """Start the probe with the options of a case and what `relax` puts over them. Cleans up.

    `folder` is the caller's own, in which the engine can see; each trial has a folder in it.
    """
    out = out_folder(folder)
    (out / SPEC_FILE).write_text(json.dumps({"device": device.kind}))
    options = runtime.container_options(probe_spec(image, device, out))
    try:
        container = runtime.engine.client.containers.create(**{**options, **relax(options)})
    except ENGINE_ERRORS as error:
        return Trial(refused=explain(error))
    try:
        return _watched(container, out)
    except ENGINE_ERRORS as error:
        return Trial(refused=explain(error))
    finally:
        with contextlib.suppress(*ENGINE_ERRORS):
            container.remove(force=True, v=True)


def out_folder(folder: Path) -> Path:
    """A new folder that the container may write to, whoever it is: `folder` keeps others out."""
    out = Path(tempfile.mkdtemp(dir=folder))
    out.chmod(0o777)
    return out


def _watched(container: Container, out: Path) -> Trial:
    container.start()
    ended = _ended(container)
    said = container.logs(stdout=True, stderr=True).decode("utf-8", "replace")
    before, begun, _ = said.partition(BEGIN)
    found = out / "found.json"
    return Trial(
        code=int(container.attrs["State"]["ExitCode"]) if ended else None,
        before=before.strip(),
        output=said.strip(),
        found=json.loads(found.read_text()) if begun and found.is_file() else None,
    )


def _ended(container: Container) -> bool:
    """Wait for its end, for so long as it may take."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        container.reload()
        if container.status not in ("created", "running"):
            return True
        time.sleep(0.1)
    return False
