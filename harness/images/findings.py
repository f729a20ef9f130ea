"""From what a trial found to the lines of a report: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from harness.images.trial import Trial
from harness.units import human_bytes

OLDEST_PYTHON = (3, 8)
WRITABLE = ("/tmp", "home", "out")  # noqa: S108 - inside the container


@dataclass(frozen=True)
class Line:
    """`ok` is None for what is only told."""

    what: str
    ok: bool | None
    detail: str


def works(lines: list[Line]) -> bool:
    """Whether a case could run so."""
    return all(line.ok is not False for line in lines)


def lines(trial: Trial, entrypoint: list[str], device: str, wanted: str | None) -> list[Line]:
    """What works of a case's needs. `device` is ``gpu`` or ``cpu``; `wanted` the framework that
    must be inside, None where any will do."""
    if trial.found is None:
        return [Line("start", False, _why_not(trial)), _entrypoint(trial, entrypoint)]
    found = trial.found
    return [
        Line("start", trial.code == 0, f"exit code {trial.code}"),
        _entrypoint(trial, entrypoint),
        _python(str(found["python"])),
        Line("user", None, f"uid {found['uid']}, gid {found['gid']}"),
        *_places(found["writes"]),
        _answered("numpy", found["numpy"]),
        *_frameworks(found["frameworks"], device, wanted),
    ]


def _why_not(trial: Trial) -> str:
    if trial.refused:
        return f"the engine: {trial.refused}"
    last = trial.output.splitlines()[-1:] or ["nothing was printed"]
    how = "it did not end" if trial.code is None else f"exit code {trial.code}"
    return f"python3 was not reached, {how}: {last[0]}"


def _entrypoint(trial: Trial, entrypoint: list[str]) -> Line:
    if not entrypoint:
        return Line("entrypoint", None, "none")
    said = trial.before.splitlines() if trial.found is not None else trial.output.splitlines()
    printed = f"prints {_count(said)}: {said[0].strip()}" if said else "prints nothing"
    return Line("entrypoint", None, f"{shorten(' '.join(entrypoint), 40)}; {printed}")


def _count(said: list[str]) -> str:
    return "a line" if len(said) == 1 else f"{len(said)} lines, first"


def _python(version: str) -> Line:
    known = tuple(int(part) for part in version.split(".")[:2])
    return Line("python", known >= OLDEST_PYTHON, version)


def _places(refusals: Mapping[str, str | None]) -> Iterator[Line]:
    for name in WRITABLE:
        yield Line(f"write {name}", refusals[name] is None, refusals[name] or "yes")
    said = "it can be written" if refusals["root"] is None else f"no ({refusals['root']})"
    yield Line("write /", None, said)


def _answered(what: str, answer: Mapping[str, str]) -> Line:
    return Line(what, "said" in answer, answer.get("said") or answer["error"])


def _frameworks(
    frameworks: Mapping[str, Mapping[str, Any] | None], device: str, wanted: str | None
) -> Iterator[Line]:
    inside = {name: found for name, found in frameworks.items() if found is not None}
    good = [name for name, found in inside.items() if "error" not in found]
    if wanted not in inside and not (wanted is None and inside):
        yield Line("framework", False, f"no {wanted or 'framework'} is inside")
    for name, found in inside.items():
        needed = name == wanted or (wanted is None and not good)
        if "error" in found:
            yield Line(name, False if needed else None, str(found["error"]))
        else:
            yield from _framework(name, found, device, needed=name == wanted or wanted is None)


def _framework(name: str, found: Mapping[str, Any], device: str, needed: bool) -> Iterator[Line]:
    versions, seen = found["versions"], found["device"]
    took = f", up in {found['seconds']:.0f} s"
    yield Line(name, True, f"{versions['framework']}, Keras {versions['keras']}{took}")
    ran_on = f"{seen['kind']}: {seen['name']}"
    as_asked = seen["kind"] == device
    yield Line(f"{name} device", as_asked if needed else None, ran_on)
    ok, told = _memory(found, device)
    yield Line(f"{name} memory", ok if needed else None, told)


def _memory(found: Mapping[str, Any], device: str) -> tuple[bool | None, str]:
    peak = found["peak_device_bytes"]
    if peak is not None:
        return True, f"the device's allocator tells: {human_bytes(peak)} at most so far"
    if device == "gpu":
        return False, "the device's allocator tells nothing"
    return None, f"of the process: {human_bytes(found['peak_host_bytes'])} at most so far"
