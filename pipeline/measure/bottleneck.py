"""What a piece of work waited for: named from the counters of its cost alone."""

from dataclasses import dataclass

from pipeline.measure.cost import Cost

CPU, MEMORY, STORAGE, GPU, WAITING = "CPU", "memory bandwidth", "I/O", "GPU", "waiting"
_BUSY_GPU = 0.6
_BUSY_CORES = 0.6
_BUSY_STORAGE = 0.5
_NEAR_CEILING = 0.5
_FOR = "for a lock, sleep, the network, a device, or a core that other work had"


@dataclass(frozen=True)
class Ability:
    """What the machine can do, as far as it is known."""

    threads: int
    """That the work could use."""
    memory_bytes_per_second: float | None = None
    storage_bytes_per_second: float | None = None


@dataclass(frozen=True)
class Bottleneck:
    """What limited the work, and the numbers that say so."""

    name: str | None
    """One of the constants of this module; None where the counters do not tell."""
    why: str


def bottleneck(cost: Cost, ability: Ability, moved_bytes: float | None = None) -> Bottleneck:
    """Return what limited a piece of work.

    ``moved_bytes`` is what it read and wrote in memory, where somebody counted that.
    """
    wall = max(cost.wall_seconds, 1e-9)
    busy_gpu, cores = cost.gpu_utilisation_share, cost.cpu_seconds / wall
    if busy_gpu is not None and busy_gpu >= _BUSY_GPU:
        return Bottleneck(GPU, f"the GPU worked {100 * busy_gpu:.0f} % of the time")
    storage = _storage(cost, ability, wall)
    if storage:
        return storage
    used = cores / ability.threads
    share = f"{cores:.1f} of {ability.threads} cores were busy"
    if used >= _BUSY_CORES:
        return _memory(moved_bytes, ability, wall) or Bottleneck(CPU, share)
    if busy_gpu is None and cost.read_bytes is None and used > _BUSY_CORES / 2:
        return Bottleneck(None, f"{share}, and what it waited for was not measured")
    if cores >= _BUSY_CORES:
        one = f"{share}: one thread did most of the work"
        return _memory(moved_bytes, ability, wall) or Bottleneck(CPU, one)
    return Bottleneck(WAITING, f"{share}; it waited: {_FOR}")


def _storage(cost: Cost, ability: Ability, wall: float) -> Bottleneck | None:
    if cost.read_bytes is None or cost.written_bytes is None:
        return None
    rate = (cost.read_bytes + cost.written_bytes) / wall
    most = ability.storage_bytes_per_second
    if most is None or rate < _BUSY_STORAGE * most:
        return None
    return Bottleneck(STORAGE, f"storage moved {rate / 1e6:.0f} of {most / 1e6:.0f} MB/s")


def _memory(moved: float | None, ability: Ability, wall: float) -> Bottleneck | None:
    most = ability.memory_bytes_per_second
    if moved is None or most is None or moved / wall < _NEAR_CEILING * most:
        return None
    return Bottleneck(MEMORY, f"memory moved {moved / wall / 1e9:.0f} of {most / 1e9:.0f} GB/s")
