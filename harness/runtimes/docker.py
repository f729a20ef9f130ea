"""Cases in containers of an engine that speaks Docker's API: Docker's own, or Podman."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from harness.errors import InfraError, MachineError, NoGpuSupportError
from harness.host.amd import device_nodes
from harness.model import Device, LaunchSpec
from harness.runtimes.containers import find, remove
from harness.runtimes.dialects import DIALECTS
from harness.runtimes.docker_attempt import DockerAttempt
from harness.runtimes.docker_options import Terms, options
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain, infra
from harness.runtimes.gpu_support import require_gpu_support


class DockerRuntime:
    """A real engine, through the `docker` package; what differs between two is in its terms."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.terms = Terms(
            os.getuid(),
            os.getgid(),
            engine.rootless,
            engine.remaps_users,
            limits=engine.limits,
            selinux=engine.selinux,
            dialect=DIALECTS[engine.kind],
        )

    @property
    def name(self) -> str:
        return self.engine.kind

    def start(self, spec: LaunchSpec) -> DockerAttempt:
        """Create, attach, then start: attached before the start, no byte of the log is lost."""
        _require_folders(spec)
        try:
            container = self.engine.client.containers.create(**self.container_options(spec))
        except ENGINE_ERRORS as error:
            raise infra("the container could not be created", error) from error
        attempt = DockerAttempt(self.engine, container)
        try:
            attempt.attach()
            container.start()
        except ENGINE_ERRORS as error:
            attempt.remove()
            raise infra("the container could not be started", error) from error
        return attempt

    def container_options(self, spec: LaunchSpec) -> dict[str, Any]:
        """What the engine is told of a case: arguments of ``containers.create``."""
        if spec.device.vendor != "amd":
            return options(spec, self.terms)
        try:
            return options(spec, self.terms, device_nodes(str(spec.device.uuid)))
        except LookupError as error:
            raise InfraError(f"the GPU {spec.device.name} is gone: {error}") from error

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        return remove(find(self.engine, *(f"{name}={value}" for name, value in labels.items())))

    def require_gpu_support(self, devices: Iterable[Device]) -> None:
        """Raise NoGpuSupportError where it can be seen that one cannot be given to a container.

        Only a glance, before an image is fetched; `rehearse` is what proves it.
        """
        require_gpu_support(self.engine, devices)

    def rehearse(self, spec: LaunchSpec) -> list[str]:
        """Start `spec` with a command that does nothing, to find refusals before the first case.

        Returns what had to be left out. Raises NoGpuSupportError where the engine cannot give the
        container its GPU, and MachineError where it refuses for another reason.
        """
        left_out = self._limits(spec)
        try:
            self._start_nothing(spec)
        except ENGINE_ERRORS as error:
            if "rlimit" not in str(error):
                raise self._refusal(spec, error) from error
        else:
            return left_out
        self.terms = replace(self.terms, raises_limits=False)
        try:
            self._start_nothing(spec)
        except ENGINE_ERRORS as error:
            raise self._refusal(spec, error) from error
        return [*left_out, "its memlock and stack limits (this engine may not raise them)"]

    def _limits(self, spec: LaunchSpec) -> list[str]:
        if self.engine.limits:
            return []
        why = f"this {self.terms.dialect.spoken} has no control groups to limit with"
        if spec.memory_limit is not None:
            raise MachineError(
                f"the memory of a container cannot be limited: {why}",
                "leave memory_limit out, use a rootful engine, or boot with cgroup v2",
            )
        return [f"a limit on its processes ({why})"]

    def _start_nothing(self, spec: LaunchSpec) -> None:
        nothing = {**self.container_options(spec), "entrypoint": ["true"], "command": []}
        container = self.engine.client.containers.create(**nothing)
        try:
            container.start()
            container.wait(timeout=60)
        finally:
            with contextlib.suppress(*ENGINE_ERRORS):
                container.remove(force=True, v=True)

    def _refusal(self, spec: LaunchSpec, error: Exception) -> MachineError:
        if spec.device.kind == "gpu":
            return NoGpuSupportError(
                f"the engine cannot give a container the GPU {spec.device.name}: {explain(error)}",
                self.terms.dialect.gpu_step,
            )
        return MachineError(f"the engine refuses to start a case: {explain(error)}")


def _require_folders(spec: LaunchSpec) -> None:
    """Podman makes an empty folder of a source that is missing; Docker refuses it itself."""
    for folder in (spec.workload, spec.out, spec.data, spec.weights):
        if folder is not None and not folder.exists():
            raise InfraError(f"the container could not be created: {folder} does not exist")
