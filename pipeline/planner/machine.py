"""What this machine has to give: cores, memory and disk, within the limits of its container."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.measure.processor import described, machine_name

_MEMORY = Path("/proc/meminfo")
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
_BFLOAT16 = ("amx_bf16", "avx512_bf16")


@dataclass(frozen=True)
class Machine:
    """What there is to run on."""

    name: str
    """As manifests spell it."""
    processor: str
    cores: int
    memory: int
    """Bytes that a run may take now."""
    disk: int
    """Bytes free where the store is."""
    bfloat16: bool = False
    """Whether the processor multiplies bfloat16 faster than float32."""


def this_machine(store: Path) -> Machine:
    """Return what this machine has; ``store`` need not exist yet."""
    place = store.resolve()
    existing = next(p for p in (place, *place.parents) if p.exists())
    processor = described()
    return Machine(
        name=machine_name(),
        processor=processor.name,
        cores=len(os.sched_getaffinity(0)),
        memory=min(_free_memory(), *_container_memory()),
        disk=shutil.disk_usage(existing).free,
        bfloat16=not processor.features.isdisjoint(_BFLOAT16),
    )


def _free_memory() -> int:
    if not _MEMORY.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines = dict(line.split(":") for line in _MEMORY.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def _container_memory() -> list[int]:
    """Return what the container may still take, one entry for each limit that there is."""
    left = []
    for limit, used in _CGROUPS:
        try:
            left.append(max(0, int(limit.read_text()) - _unreclaimable(used)))
        except (OSError, ValueError):  # no such control group, or "max"
            continue
    return left or [_free_memory()]


def _unreclaimable(used: Path) -> int:
    """Return the memory in use without cached files, which the system gives back."""
    taken = int(used.read_text())
    stat = used.with_name("memory.stat")
    for line in stat.read_text().splitlines() if stat.exists() else []:
        name, _, value = line.partition(" ")
        if name == "inactive_file" or name == "active_file":
            taken -= int(value)
    return max(0, taken)
