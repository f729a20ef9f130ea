"""One reading of a card by NVML: each call may fail, and then that figure is not known."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any


class Card:
    """A card while NVML is open; `pids` tells the case's processes of the moment.

    Raises pynvml.NVMLError where no card has this UUID. It never touches another's process.
    """

    def __init__(self, uuid: str, pids: Callable[[], Collection[int]]) -> None:
        import pynvml

        self._nvml = pynvml
        self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        self._pids = pids
        self._ours: Collection[int] = ()
        self._strangers: set[int] = set()
        self.lost = False
        self._silent: set[str] = set()
        self._parent_counts = not self._in_slices()

    def read(self) -> dict[str, Any]:
        """The fields of a Sample that are the card's."""
        if self.lost:
            return {"lost": True}
        n, card = self._nvml, self._handle
        rates = self._ask("utilisation", lambda: n.nvmlDeviceGetUtilizationRates(card))
        power = self._ask("power", lambda: n.nvmlDeviceGetPowerUsage(card))
        found = {
            "utilisation": None if rates is None else rates.gpu / 100,
            "memory_utilisation": None if rates is None else rates.memory / 100,
            "memory_used": self._ask("memory", lambda: n.nvmlDeviceGetMemoryInfo(card).used),
            "power_w": power / 1000 if power is not None and self._parent_counts else None,
            "temperature_c": self._ask("temperature", lambda: n.nvmlDeviceGetTemperature(card, 0)),
            "sm_mhz": self._ask(
                "sm clock", lambda: n.nvmlDeviceGetClockInfo(card, n.NVML_CLOCK_SM)
            ),
            "memory_mhz": self._ask(
                "memory clock", lambda: n.nvmlDeviceGetClockInfo(card, n.NVML_CLOCK_MEM)
            ),
            "reasons": self._reasons(),
            "pcie_generation": self._ask(
                "pcie generation", lambda: n.nvmlDeviceGetCurrPcieLinkGeneration(card)
            ),
            "pcie_width": self._ask("pcie width", lambda: n.nvmlDeviceGetCurrPcieLinkWidth(card)),
            "energy_j": self._energy(),
            **self._processes(),
        }
        return {"lost": True} if self.lost else found

    def _ask(self, name: str, call: Callable[[], Any]) -> Any:
        """The answer; a call that this card does not have is not made again."""
        if name in self._silent or self.lost:
            return None
        try:
            return call()
        except self._nvml.NVMLError as error:
            if error.value in (
                self._nvml.NVML_ERROR_NOT_SUPPORTED,
                self._nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            ):
                self._silent.add(name)
            self.lost = error.value == self._nvml.NVML_ERROR_GPU_IS_LOST
            return None
        except Exception:  # of the bindings themselves, for a driver that is older than they are
            self._silent.add(name)
            return None

    def _reasons(self) -> int | None:
        n, card = self._nvml, self._handle
        found = self._ask("reasons", lambda: int(n.nvmlDeviceGetCurrentClocksEventReasons(card)))
        if found is not None:
            return int(found)
        older = self._ask(
            "throttle reasons", lambda: int(n.nvmlDeviceGetCurrentClocksThrottleReasons(card))
        )
        return None if older is None else int(older)

    def _energy(self) -> float | None:
        """Of the whole card, so nothing where it is shared out in slices."""
        if not self._parent_counts:
            return None
        card = self._handle
        spent = self._ask("energy", lambda: self._nvml.nvmlDeviceGetTotalEnergyConsumption(card))
        return None if spent is None else spent / 1000

    def _in_slices(self) -> bool:
        mode = self._ask("mig", lambda: self._nvml.nvmlDeviceGetMigMode(self._handle))
        is_slice = self._ask(
            "is slice", lambda: self._nvml.nvmlDeviceIsMigDeviceHandle(self._handle).value
        )
        return bool(mode and mode[0]) or bool(is_slice)

    def _processes(self) -> dict[str, int | None]:
        n, card = self._nvml, self._handle
        running = self._ask("processes", lambda: n.nvmlDeviceGetComputeRunningProcesses(card))
        if running is None:
            return {"own": None, "foreign": None}
        seen = {process.pid for process in running}
        if seen - self._strangers - set(self._ours):  # only then is looking them up worth it
            self._ours = self._pids()
            self._strangers = seen - set(self._ours)
        strangers = seen & self._strangers
        return {"own": len(seen - strangers), "foreign": len(strangers)}
