"""What this process uses of NVIDIA GPUs, through NVML; nothing where there is none."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Without one of these there is no driver to ask, and no reason to load its library: 20 ms. The
second is what Windows' Linux shows."""


@dataclass(frozen=True)
class GpuUse:
    """The use of the GPUs at one moment; None where it is not known."""

    memory_bytes: int | None
    """Of this process, on all GPUs that it sees."""
    busy_share: float | None
    """Mean share of the last moment in which a kernel ran, by any process, from 0 to 1."""


class Gpus(Protocol):
    """Tells the use of the GPUs."""

    def use(self) -> GpuUse | None:
        """Return the use now, None where there is no GPU."""


class NoGpus:
    """There is none, or none that can be asked."""

    def use(self) -> GpuUse | None:
        """Return None."""
        return None


class Nvml:
    """The GPUs that NVML sees and the environment leaves to this process."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401 - a module without types
        """Begin with the library; it raises its own error where there is no driver."""
        self._library = library
        library.nvmlInit()
        self._handles = [
            library.nvmlDeviceGetHandleByIndex(n)
            for n in visible(library.nvmlDeviceGetCount(), os.environ.get("CUDA_VISIBLE_DEVICES"))
        ]

    def use(self) -> GpuUse | None:
        """Return the use now, None where no GPU is left to this process."""
        if not self._handles:
            return None
        return GpuUse(self._memory(), self._busy())

    def _memory(self) -> int | None:
        """Return this process's memory; torch knows its own where a container hides processes."""
        pid, found = os.getpid(), []
        for handle in self._handles:
            try:
                running = self._library.nvmlDeviceGetComputeRunningProcesses(handle)
            except self._library.NVMLError:
                continue
            found += [p.usedGpuMemory for p in running if p.pid == pid and p.usedGpuMemory]
        return sum(found) if found else _reserved_by_torch()

    def _busy(self) -> float | None:
        shares = []
        for handle in self._handles:
            try:
                shares.append(self._library.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
            except self._library.NVMLError:
                continue
        return sum(shares) / len(shares) if shares else None


def visible(count: int, limit: str | None) -> list[int]:
    """Return the numbers of the GPUs that CUDA_VISIBLE_DEVICES leaves; all where it is not set.

    Names instead of numbers are not looked up: all GPUs count then.
    """
    if limit is None:
        return [*range(count)]
    found = []
    for word in limit.split(","):
        if not word.strip().isdigit():
            return [] if word.strip() in ("", "-1", "NoDevFiles") else [*range(count)]
        found.append(int(word))
    return [n for n in found if n < count]


def _reserved_by_torch() -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return sum(int(torch.cuda.memory_reserved(n)) for n in range(torch.cuda.device_count()))


def gpus() -> Gpus:
    """Return the GPUs of this machine; none where NVML or its Python package is missing."""
    if not any(path.exists() for path in DEVICES):
        return NoGpus()
    try:
        import pynvml
    except ImportError:
        return NoGpus()
    try:
        return Nvml(pynvml)
    except pynvml.NVMLError:
        return NoGpus()
