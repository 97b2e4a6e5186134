"""Joules of NVIDIA GPUs as their driver counts them (NVML)."""

import importlib
import os
from dataclasses import dataclass
from typing import Any

from pipeline.measure.gpu import DEVICES, visible

_MILLI = 1e-3


@dataclass
class Board:
    """One GPU."""

    library: Any
    handle: Any
    last: float | None = None
    """The counter in joules; None where the GPU, older than 2017, has none."""

    def joules(self, seconds: float) -> float:
        """Return what was drawn in the last ``seconds``."""
        now = self._counter()
        if now is None:
            watts: float = self.library.nvmlDeviceGetPowerUsage(self.handle) * _MILLI
            return watts * seconds
        before, self.last = self.last, now
        return max(0.0, now - before) if before is not None else 0.0

    def _counter(self) -> float | None:
        try:
            counted: float = self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle) * _MILLI
        except self.library.NVMLError:
            return None
        return counted

    def share(self, pids: frozenset[int]) -> float:
        """Return the share of the GPU that is these processes': by who has work on it.

        A container may hide who has; a GPU that is busy for nobody is then busy for us.
        """
        try:
            listed = self.library.nvmlDeviceGetComputeRunningProcesses(self.handle)
            users = {int(process.pid) for process in listed}
            if users & pids:
                return len(users & pids) / len(users)
            busy = self.library.nvmlDeviceGetUtilizationRates(self.handle).gpu > 0
        except self.library.NVMLError:
            return 1.0
        return 1.0 if busy and not users else 0.0


def boards(library: Any = None) -> list[Board]:  # noqa: ANN401 - the module pynvml, or its like
    """Return the GPUs that this process may see, none where there is no driver."""
    if library is None and not any(device.exists() for device in DEVICES):
        return []
    try:
        library = library or importlib.import_module("pynvml")
        library.nvmlInit()
        left = os.environ.get("CUDA_VISIBLE_DEVICES")
        chosen = visible(library.nvmlDeviceGetCount(), left)
        found = [Board(library, library.nvmlDeviceGetHandleByIndex(at)) for at in chosen]
    except Exception:  # no package, no driver, no GPU: the library has an error for each
        return []
    for board in found:
        board.last = board._counter()
    return found
