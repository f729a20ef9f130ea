"""From a LaunchSpec to Apptainer's command line: the one translator, pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.model import Device, LaunchSpec
from harness.runtimes.command import DATA, OUT, WEIGHTS, WORKLOAD, arguments, environment, visible

TMP = "/tmp"  # noqa: S108 - the attempt's own scratch folder


@dataclass(frozen=True)
class Terms:
    """The program that starts containers, and what this machine's installation grants."""

    program: str
    isolates_network: bool = True


def command_line(spec: LaunchSpec, terms: Terms, scratch: Path) -> list[str]:
    """A container that runs the case: least privilege, `scratch` as /tmp, one writable folder."""
    weights = WEIGHTS if spec.weights is not None else None
    # Inside, by `env`: --env takes a comma for the next variable's beginning, in some versions
    # only, and neither it nor APPTAINERENV_ may set HOME.
    variables = {**environment(spec.device, TMP), **visible(spec.device), **spec.env}
    return [
        *container(spec, terms, scratch),
        "env",
        *(f"{name}={value}" for name, value in variables.items()),
        *arguments("python3", WORKLOAD, OUT, DATA, weights),
    ]


def container(spec: LaunchSpec, terms: Terms, scratch: Path) -> list[str]:
    """The container that a case runs in, without the command that runs in it."""
    return [
        terms.program,
        "exec",
        *_gpu(spec.device),
        "--containall",
        "--no-home",
        "--no-privs",
        *(["--net", "--network", "none"] if terms.isolates_network else []),
        *_memory(spec.memory_limit),
        "--workdir",
        str(scratch),
        *_binds(spec),
        "--pwd",
        TMP,
        str(spec.image),
    ]


def _gpu(device: Device) -> Sequence[str]:
    """All of the machine's; which of them the case uses is said by its environment."""
    if device.kind != "gpu":
        return ()
    return ("--rocm",) if device.vendor == "amd" else ("--nv",)


def _memory(limit: int | None) -> Sequence[str]:
    # Equal limits leave no swap: a case that outgrows its memory must end, not crawl.
    return () if limit is None else ("--memory", str(limit), "--memory-swap", str(limit))


def _binds(spec: LaunchSpec) -> Iterator[str]:
    folders = [
        (spec.workload, WORKLOAD, "ro"),
        (spec.data, DATA, "ro"),
        (spec.weights, WEIGHTS, "ro"),
        (spec.out, OUT, "rw"),
    ]
    for source, target, mode in folders:
        if source is not None:
            escaped = re.sub(r"([\\:,])", r"\\\1", str(source))
            yield from ("--bind", f"{escaped}:{target}:{mode}")
