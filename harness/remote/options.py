"""The options of `harness matrix`, as the command line there gets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

CONTAINERS = ("auto", "docker", "podman", "apptainer")


@dataclass(frozen=True)
class RunOptions:
    """Options that are the same here and there; a folder of this machine is none of them."""

    gpu: str = "auto"
    runtime: str = "auto"
    python: str | None = None
    machine: str | None = None
    budget: str | None = None
    offline: bool = False
    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    parallel: bool = False
    until_ci: str | None = None
    max_repeats: int = 20
    max_time: str = "4h"
    strict: bool = False
    price_per_hour: float | None = None
    currency: str | None = None

    def words(self) -> list[str]:
        """Each as ``--name=value``, so that no value is taken for an option."""
        words: list[str] = []
        for name, value in asdict(self).items():
            option = f"--{name.replace('_', '-')}"
            if value is True:
                words.append(option)
            elif isinstance(value, (list, tuple)):
                words += [f"{option}={one}" for one in value]
            elif value is not None and value is not False:
                words.append(f"{option}={value}")
        return words

    def for_machine(self, engine: str | None, python: str) -> RunOptions:
        """With what `runtime` comes to there.

        Where no `engine` answers, or none is wanted, the cases run in the `python` that the
        machine itself has: a rented container's image holds the framework, our environment none.
        """
        if self.python is not None or self.runtime not in ("auto", "local"):
            return self
        if self.runtime == "auto" and engine is not None:
            return self
        return replace(self, runtime="local", python=python)
